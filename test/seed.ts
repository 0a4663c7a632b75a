// Loaded before each test file: what property tests make is the same in every run, or, with PROPERTY_SEED=random,
// new in each; a failure names its seed.
import fc from 'fast-check';

const DEFAULT_SEED = 20_260_101;
const wanted = process.env.PROPERTY_SEED ?? String(DEFAULT_SEED);
if (wanted !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(wanted) });
