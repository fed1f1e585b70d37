/** How the page looks; in the dark, too. */

export const STYLE = `
:root{color-scheme:light;--ground:#f4f5f7;--card:#fff;--ink:#1b2230;--quiet:#5a6474;--line:#d9dde4;--link:#0b57b0;--row:#f7f8fa;--ring:#0b57b0;
--good:#12692f;--good-ground:#e2f3e7;--warn:#7a4b00;--warn-ground:#fdf0d2;--bad:#a11d22;--bad-ground:#fbe5e5;--calm-ground:#eceff3;
--ikev2:#2f6fbd;--sstp:#1c8572;--l2tp:#b8731a;--pptp:#b04a78;--pppoe:#7458b5;--other:#6b7482;--unknown:#8a919c}
@media (prefers-color-scheme:dark){:root{color-scheme:dark;--ground:#12151b;--card:#1a1e26;--ink:#e4e7ec;--quiet:#a2abb8;--line:#323843;--link:#83b6f5;--row:#20252e;--ring:#83b6f5;
--good:#7fd39a;--good-ground:#17321f;--warn:#f0c064;--warn-ground:#3a2c0f;--bad:#ff9d9d;--bad-ground:#431d20;--calm-ground:#2a303a;
--ikev2:#5a9be6;--sstp:#3fb39c;--l2tp:#dd9a45;--pptp:#d978a4;--pppoe:#a48be0;--other:#939cab;--unknown:#7b8492}}
*{box-sizing:border-box}
html{font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;background:var(--ground);color:var(--ink)}
body{max-width:92rem;margin:0 auto;padding:1.25rem 1.5rem 2rem}
h1{font-size:1.35rem;line-height:1.2;margin:0}
h2{font-size:1.05rem;margin:0 0 .75rem}
p{margin:.5rem 0}
a{color:var(--link)}
.quiet{color:var(--quiet);font-size:.87rem}
.heard{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
:focus-visible{outline:2px solid var(--ring);outline-offset:2px}
header{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem 1rem;margin-bottom:1rem}
header .quiet{margin:0}
#live{margin-left:auto;display:flex;align-items:center;gap:.75rem}
#live p{margin:0}
header nav{position:relative;max-height:5.9rem;overflow:auto;margin:-.25rem;padding:.25rem}
header nav ul{display:flex;flex-wrap:wrap;gap:.3rem;list-style:none;margin:0;padding:0}
header nav a{display:block;padding:.2rem .7rem;border:1px solid var(--line);border-radius:1rem;text-decoration:none;background:var(--card)}
header nav a[aria-current]{color:var(--ink);border-color:var(--ink);font-weight:600}
button,input{font:inherit;color:inherit;background:var(--card);border:1px solid var(--quiet);border-radius:6px;padding:.3rem .75rem}
button{cursor:pointer}
.mark,#notice:not(:empty){margin:0 0 1rem;padding:.6rem 1rem;border-radius:8px;background:var(--warn-ground);color:var(--warn)}
#notice:not(:empty){background:var(--bad-ground);color:var(--bad);font-weight:600}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.25rem;margin:0 0 1rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:1rem 1.5rem;margin:0}
.tiles dt{color:var(--quiet);font-size:.87rem}
.tiles dd{margin:.1rem 0 0;font-size:1.2rem;font-weight:600;font-variant-numeric:tabular-nums}
.tiles dd.quiet{font-size:.87rem;font-weight:400}
.state{display:inline-block;padding:0 .55rem;border:1px solid transparent;border-radius:1rem;background:var(--calm-ground);font-weight:600;white-space:nowrap}
td .state{font-size:.9rem;font-weight:500}
.state.good{background:var(--good-ground);color:var(--good)}
.state.warn{background:var(--warn-ground);color:var(--warn)}
.state.bad{background:var(--bad-ground);color:var(--bad)}
.problems{margin:1rem 0 0;padding:.6rem 1rem .6rem 2rem;border-radius:8px;background:var(--bad-ground);color:var(--bad);overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem 1rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--quiet);font-size:.87rem;font-weight:500}
tbody th{font-weight:500}
tbody tr:last-child>*{border-bottom:0}
.figure,.figures th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{overflow-x:auto;min-width:0}
#tunnels{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:1rem 2.5rem;align-items:start}
@media (max-width:60rem){#tunnels{grid-template-columns:minmax(0,1fr)}}
.chart{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.25rem .6rem}
.chart svg{display:block;width:100%;height:11rem}
.scale,.times{display:flex;justify-content:space-between;color:var(--quiet);font-size:.8rem;font-variant-numeric:tabular-nums}
.scale{flex-direction:column;text-align:right;margin:-.55rem 0}
.times,.chart .quiet{grid-column:2;margin:0}
.grid{stroke:var(--line);vector-effect:non-scaling-stroke}
path{stroke:var(--card);stroke-width:1;vector-effect:non-scaling-stroke}
.swatch{forced-color-adjust:none;display:inline-block;width:.75rem;height:.75rem;border-radius:3px;margin-right:.5rem}
${['ikev2', 'sstp', 'l2tp', 'pptp', 'pppoe', 'other', 'unknown']
  .map((tunnel) => `.tunnel-${tunnel}{fill:var(--${tunnel});background:var(--${tunnel})}`)
  .join('\n')}
.scroll{overflow:auto;max-height:26rem}
#interfaces{max-height:40rem}
#interfaces table{min-width:44rem}
#interfaces th,#interfaces td{overflow-wrap:break-word}
.scroll thead th{position:sticky;top:0;background:var(--card);z-index:2;box-shadow:inset 0 -1px var(--line)}
.find{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem .75rem;margin-bottom:.75rem}
.find input{width:20rem;max-width:100%}
.find p{margin:0}
#list{max-height:min(36rem,75vh);overflow-anchor:none}
#list table{table-layout:fixed;width:116rem}
#list th,#list td{height:2rem;padding:0 .6rem;line-height:2rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
#list tbody th{position:sticky;left:0;background:var(--card);z-index:1}
#list thead th{padding:0}
#list thead th:first-child{left:0;z-index:3}
#list thead button{width:100%;height:2rem;padding:0 .6rem;border:0;border-radius:0;background:none;font-weight:500;text-align:inherit;white-space:nowrap}
#list thead button:focus-visible{outline-offset:-2px}
#list [aria-sort=ascending] button{color:var(--ink);font-weight:600}
#list [aria-sort=descending] button{color:var(--ink);font-weight:600}
#list [aria-sort=ascending]:not(.figure) button::after,#list [aria-sort=ascending].figure button::before{content:" \\2191 "}
#list [aria-sort=descending]:not(.figure) button::after,#list [aria-sort=descending].figure button::before{content:" \\2193 "}
#list .gap td{height:auto;padding:0;border:0}
#list tbody tr:not(.gap):hover>*{background:var(--row)}
.column-user{width:15rem}.column-tunnel{width:8rem}.column-remote,.column-address{width:10rem}.column-time{width:8rem}
.column-received,.column-transmitted{width:8rem}.column-computer{width:9rem}.column-interface{width:12rem}.column-role{width:5rem}
.column-auth{width:10rem}.column-encryption{width:8rem}.column-id{width:12rem}
@media (max-width:40rem){body{padding:1rem .75rem}section{padding:.9rem}.column-user{width:9rem}#list table{width:110rem}#live{margin-left:0}.find input{width:100%}
.tiles{grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr))}}
footer ul{display:flex;flex-wrap:wrap;gap:.3rem 1.25rem;list-style:none;margin:0;padding:0}
`;
