/**
 * JSON as text: what the wire needs beyond `JSON.parse`, which forgets how a value was written.
 * Payload bytes are relayed as sent (FRM-3), so a member's own text has to be found, and line breaks taken out.
 */

/** True for the four characters JSON calls white space (RFC 8259 §2). */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/**
 * A JSON payload as it is stored (FRM-5): white space around it is stripped and raw CR and LF in it are removed;
 * `undefined` when it is not valid JSON or begins with a byte order mark. Nothing else is touched.
 */
export function normalizeJson(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  // Inside valid JSON a raw line break can only be white space: in a string it would have to be escaped.
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  const trimmed = start === 0 && end === text.length ? text : text.slice(start, end);
  return trimmed.includes('\n') || trimmed.includes('\r') ? trimmed.replaceAll(/[\r\n]/g, '') : trimmed;
}

/** The index just behind the JSON string whose opening quote is at `at`. */
function skipString(text: string, at: number): number {
  let i = at + 1;
  while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
  return i + 1;
}

/** The index just behind the JSON value that starts at `at`. */
function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === 0x22) return skipString(text, at);
  let depth = 0;
  let i = at;
  for (; i < text.length;) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      i = skipString(text, i);
      continue;
    }
    if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) {
      if (depth === 0) return i;
      depth--;
      if (depth === 0) return i + 1;
    } else if (depth === 0 && (c === 0x2c || isSpace(c))) return i;
    i++;
  }
  return i;
}

/**
 * The text of one member of a JSON object, as it was written; `undefined` where it is absent. Of a member given twice
 * the last counts, as in `JSON.parse`. The text must be a valid JSON object.
 */
export function memberText(object: string, member: string): string | undefined {
  let found: string | undefined;
  let i = object.indexOf('{') + 1;
  for (;;) {
    while (isSpace(object.charCodeAt(i)) || object.charCodeAt(i) === 0x2c) i++;
    if (object.charCodeAt(i) !== 0x22) return found;
    const nameEnd = skipString(object, i);
    const name = JSON.parse(object.slice(i, nameEnd)) as string;
    i = nameEnd;
    while (isSpace(object.charCodeAt(i)) || object.charCodeAt(i) === 0x3a) i++;
    const end = skipValue(object, i);
    if (name === member) found = object.slice(i, end);
    i = end;
  }
}

/** The texts of the items of a JSON array, as they were written (HTTP-4). The text must be a valid JSON array. */
export function elementTexts(array: string): string[] {
  const texts: string[] = [];
  let i = array.indexOf('[') + 1;
  for (;;) {
    while (isSpace(array.charCodeAt(i)) || array.charCodeAt(i) === 0x2c) i++;
    if (i >= array.length || array.charCodeAt(i) === 0x5d) return texts;
    const end = skipValue(array, i);
    if (end === i) return texts;
    texts.push(array.slice(i, end));
    i = end;
  }
}
