/*
 * Time, CPU of this process, and a histogram of latencies, for the C programs of the bench.
 *
 * Time is CLOCK_MONOTONIC in nanoseconds: the same clock as Node's process.hrtime, so that a record's intended time
 * can be written by one process and read by another.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline double cpu_ms(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* 64 steps per power of two: no bucket is wider than 1.6 % of its value. */
#define STEPS 64
#define BUCKETS (64 * STEPS)

struct histogram {
  uint64_t count, most;
  uint64_t bucket[BUCKETS];
};

static inline unsigned bucket_of(uint64_t ns) {
  if (ns < STEPS) return (unsigned)ns;
  unsigned power = 63 - (unsigned)__builtin_clzll(ns);
  return (power - 5) * STEPS + (unsigned)((ns >> (power - 6)) - STEPS);
}

/* The upper end of a bucket. */
static inline uint64_t bucket_ns(unsigned bucket) {
  if (bucket < STEPS) return bucket;
  unsigned power = bucket / STEPS + 5;
  return ((uint64_t)(bucket % STEPS + STEPS + 1) << (power - 6)) - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t ns) {
  h->bucket[bucket_of(ns)]++;
  h->count++;
  if (ns > h->most) h->most = ns;
}

static inline void histogram_clear(struct histogram *h) { memset(h, 0, sizeof *h); }

static inline double percentile_ms(const struct histogram *h, double share) {
  uint64_t rank = (uint64_t)(share * (double)h->count + 0.999999), seen = 0;
  if (rank < 1) rank = 1;
  for (unsigned i = 0; i < BUCKETS; i++) {
    seen += h->bucket[i];
    if (seen >= rank) {
      uint64_t ns = bucket_ns(i);
      return (double)(ns < h->most ? ns : h->most) / 1e6;
    }
  }
  return 0;
}

/* The member `latencyMs` of a report; absent while there is nothing to say. */
static inline void print_latency(const struct histogram *h) {
  if (h->count == 0) return;
  printf(",\"latencyMs\":{\"count\":%llu,\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"max\":%.4f}",
         (unsigned long long)h->count, percentile_ms(h, 0.5), percentile_ms(h, 0.9), percentile_ms(h, 0.99),
         percentile_ms(h, 0.999), (double)h->most / 1e6);
}

#endif
