/** The same property runs everywhere, so that a failure is everybody's; RRAS_TEST_SEED=N tries others. */
import fc from 'fast-check';

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  seed: Number(process.env['RRAS_TEST_SEED'] ?? 20_261_121),
});
