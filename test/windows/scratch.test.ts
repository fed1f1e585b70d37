import { it } from 'vitest';
import { WineSuite } from './wine.ts';
it('scale', async () => {
  const suite = await WineSuite.open();
  const fake = suite.fake('connection count=50000\n');
  const js = `const {openMprapi,systemMprapiPath}=await import('./dist/native/mprapi.js'); const api=openMprapi(systemMprapiPath()); const {handle}=await api.serverConnect(null);
  for (let k=0;k<3;k++){ let t=performance.now(); const p=await api.connectionEnum(handle,4,0xffffffff,0); let a=performance.now()-t; t=performance.now(); const v=p.buffer.view(p.entriesRead*1696).slice(); const b=performance.now()-t; t=performance.now(); p.buffer.free(); console.log(p.code,p.entriesRead,v.length,a,b,performance.now()-t); }
  let t=performance.now(); for(let i=0;i<1000;i++){ const r=await api.serverGetInfo(handle,0); r.buffer.view(16); r.buffer.free(); } console.log('call us', (performance.now()-t));`;
  const { code, program } = await suite.runNode(['--input-type=module', '-e', js], { env: fake.env });
  console.log(code, program.stdout(), program.stderr());
  const e = { ...fake.env }; delete (e as Record<string,string>).FAKE_MPRAPI_LEDGER; delete (e as Record<string,string>).FAKE_MPRAPI_LOG;
  console.log('no ledger', (await suite.runNode(['--input-type=module', '-e', js], { env: e })).program.stdout());
  await suite.dispose();
}, 120000);
