import { mkdtempSync, rmSync } from 'node:fs';
import { Sink } from './sink.ts';
import { runRound } from './target-cost.ts';
import { OTHER_CPU, type Places } from './places.ts';
const [fixtures='', programs='', n='30000', rounds='1'] = process.argv.slice(2);
const cache = mkdtempSync('/tmp/bench-');
using sink = await Sink.start(programs, OTHER_CPU);
const places: Places = { agent: 'bin/otel-rust-agent', fixtures, programs, sinkPort: sink.port, cache };
const all=[];
for (let i=0;i<Number(rounds);i++){ const r=await runRound({places,sink,load:{requests:Number(n),warmUp:Number(n)/4,connections:32}},i,(t)=>console.error(t)); all.push(r);
 for(const [k,s] of Object.entries(r)) console.log(k, JSON.stringify(s)); }
rmSync(cache,{recursive:true});
