import { createHash } from 'node:crypto';

/** For service.instance.id made from an inherent id (semantic conventions, "service.instance.id"). */
const NAMESPACE = '4d63009a-8d0f-11ee-aad7-4c796ed8e320';

/** UUID version 5: SHA-1 over namespace and name (RFC 9562, section 5.5). */
export function uuidV5(name: string, namespace = NAMESPACE): string {
  const hash = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name)
    .digest();
  hash[6] = (hash.readUInt8(6) & 0x0f) | 0x50;
  hash[8] = (hash.readUInt8(8) & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}
