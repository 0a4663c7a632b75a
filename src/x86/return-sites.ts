import { type Code, FunctionDecoder } from './instruction.ts';
import type { NoSite, Site } from './site.ts';

/**
 * Every `ret` of a whole function, or why some of its exits are not known: a jump out of it is a call in its place. The
 * kernel has no emulation for `ret`: it is single-stepped.
 */
export function returnSites(code: Code): readonly Site[] | NoSite {
  using decoder = new FunctionDecoder(code);
  const sites: Site[] = [];
  for (let one = decoder.next(); one; one = decoder.next()) {
    const { offset, flow, bytes } = one;
    if (flow === 'invalid') return { reason: `its byte ${offset} is not the start of an instruction` };
    const target = decoder.jump()?.target;
    if (target !== undefined && (target < 0 || target >= code.bytes.length))
      return { reason: `${decoder.text()} leaves it` };
    if (bytes.length === 1 && bytes[0] === RET)
      sites.push({ offset, instruction: decoder.text(), cost: 'single-stepped' });
  }
  return sites.length > 0 ? sites : { reason: 'it never returns' };
}

const RET = 0xc3;
