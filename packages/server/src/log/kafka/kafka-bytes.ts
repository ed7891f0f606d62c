/** Reads Kafka's numbers and texts from one buffer, in order. A read beyond the end throws a `RangeError`. */
export class KafkaBytes {
  readonly buffer: Buffer;
  at: number;

  constructor(buffer: Buffer, at = 0) {
    this.buffer = buffer;
    this.at = at;
  }

  get left(): number {
    return this.buffer.length - this.at;
  }

  int8(): number {
    const value = this.buffer.readInt8(this.at);
    this.at += 1;
    return value;
  }

  int16(): number {
    const value = this.buffer.readInt16BE(this.at);
    this.at += 2;
    return value;
  }

  int32(): number {
    const value = this.buffer.readInt32BE(this.at);
    this.at += 4;
    return value;
  }

  uint32(): number {
    const value = this.buffer.readUInt32BE(this.at);
    this.at += 4;
    return value;
  }

  /** As a number: offsets and times of Kafka stay far below 2^53. */
  int64(): number {
    return this.int32() * 0x1_0000_0000 + this.uint32();
  }

  uuid(): string {
    const hex = this.take(16).toString('hex');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  /** Unsigned, seven bits a byte. */
  uvarint(): number {
    let value = 0;
    let factor = 1;
    // Ten bytes hold 64 bits; beyond 2^53 it is rounded, which only the times of strange producers ever are.
    for (let n = 0; n < 10; n++) {
      const byte = this.buffer[this.at++];
      if (byte === undefined) break;
      if (byte < 128) return value + byte * factor;
      value += (byte - 128) * factor;
      factor *= 128;
    }
    throw new RangeError('a number runs over its end');
  }

  /** Signed: zigzag. */
  varint(): number {
    const value = this.uvarint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  take(length: number): Buffer {
    if (length < 0 || length > this.left) throw new RangeError(`${length} bytes of ${this.left}`);
    const bytes = this.buffer.subarray(this.at, this.at + length);
    this.at += length;
    return bytes;
  }

  /** Tagged fields that nobody here knows. */
  skipTags(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint();
      this.take(this.uvarint());
    }
  }
}
