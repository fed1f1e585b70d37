/** Properties draw other runs each time, and print their seed when they fail; RRAS_TEST_SEED=N repeats them. */
import { randomInt } from 'node:crypto';
import fc from 'fast-check';

const given = process.env['RRAS_TEST_SEED'];

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  seed: given === undefined ? randomInt(2 ** 31) : Number(given),
});
