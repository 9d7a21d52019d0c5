"""The style sheet of the report's page."""

from sertool.drawings.pictures import INK, RULE, SOFT, TONES

LIGHT = f"""
:root {{ color-scheme:light dark; --ground:#f4f5f6; --paper:#fff; --ink:{INK}; --soft:{SOFT}; --rule:{RULE};
  --heat:#1d669e; --deep:#fff; --alarm:#8f3410; --alarm-ground:#fdeee2;
  {" ".join(f"--tone{place}:{tone};" for place, tone in enumerate(TONES))} }}
"""
STYLE = (
    LIGHT
    + """\
@media (prefers-color-scheme:dark) { :root { --ground:#0e1318; --paper:#161d25; --ink:#e6ebf0; --soft:#9aa9b7;
  --rule:#2a3541; --heat:#4aa3e2; --deep:#07131d; --alarm:#ffbd92; --alarm-ground:#38210f;
  --tone0:#5db0ec; --tone1:#f29c53; --tone2:#58c896; --tone3:#c197ea; --tone4:#f283a7; --tone5:#bdcc5b; } }
* { box-sizing:border-box; }
body { margin:0 auto; max-width:1120px; padding:2.25rem 1.25rem 3rem; background:var(--ground); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
  font-variant-numeric:tabular-nums; }
header { margin-bottom:1.5rem; }
h1 { margin:0 0 .25rem; font-size:1.9rem; line-height:1.2; letter-spacing:-.015em; overflow-wrap:anywhere; }
h2 { margin:0 0 .5rem; font-size:1.05rem; letter-spacing:-.005em; }
h3 { margin:0; font-size:.82rem; font-weight:500; color:var(--soft); }
p { margin:.35rem 0; }
.lead { color:var(--soft); font-size:1.05rem; overflow-wrap:anywhere; }
.lead b, th.run { color:var(--tone,inherit); }
.caption { margin:.1rem 0 .8rem; color:var(--soft); font-size:.86rem; }
.notes { margin:.6rem 0 0; padding:0; list-style:none; font-size:.9rem; color:var(--soft); }
.notes .alarm { margin:.35rem 0; padding:.45rem .75rem; border-left:4px solid var(--alarm); border-radius:0 6px 6px 0;
  background:var(--alarm-ground); color:var(--alarm); font-weight:600; }
.key { display:flex; flex-wrap:wrap; gap:.2rem 1.2rem; margin:0 0 .6rem; padding:0; list-style:none;
  font-size:.88rem; }
.key li::before { content:""; display:inline-block; width:.7em; height:.7em; margin-right:.4em; border-radius:50%;
  background:var(--tone); }
main, .inside { display:grid; grid-template-columns:repeat(2,minmax(0,1fr)); gap:1rem; align-items:start; }
section, details { grid-column:1/-1; min-width:0; padding:1.15rem 1.3rem 1.25rem; border:1px solid var(--rule);
  border-radius:12px; background:var(--paper); }
section.half { grid-column:auto; height:100%; }
.tiles { grid-column:1/-1; display:grid; grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr)); gap:1rem; }
.tile { padding:.9rem 1.1rem; border:1px solid var(--rule); border-radius:12px; background:var(--paper); }
.tile strong { display:block; margin:.1rem 0; font-size:2rem; line-height:1.15; letter-spacing:-.02em; }
.tile:first-child strong { color:var(--tone0); }
.tile small { font-size:.95rem; font-weight:400; color:var(--soft); }
.tile span { display:block; font-size:.84rem; color:var(--soft); }
table { border-collapse:collapse; }
th { font-weight:500; text-align:left; }
thead th { color:var(--soft); font-size:.8rem; font-weight:500; }

.intervals { width:100%; }
.intervals td, .intervals th { padding:.2rem 0 .2rem 1rem; text-align:right; white-space:nowrap; }
.intervals tbody th { padding-left:0; text-align:left; white-space:normal; 
  overflow-wrap:break-word; max-width:20rem; }
.intervals .clips { color:var(--soft); font-size:.86rem; }
.intervals .clips div { height:1.35rem; line-height:1.35rem; }
.intervals .plot, .intervals .ticks { width:55%; }
.half .intervals .plot, .half .intervals .ticks, .pair .intervals .plot { width:45%; }
.intervals.pairs .plot, .intervals.pairs .ticks { width:36%; }
.ticks div { position:relative; height:1.1rem; }
.ticks span { position:absolute; transform:translateX(-50%); font-size:.74rem; }
.scale { position:relative; height:1.35rem; border-right:1px solid var(--rule);
  background:repeating-linear-gradient(to right,var(--rule) 0 1px,transparent 1px 25%); }
.scale i { position:absolute; }
.scale .span { top:50%; height:.4rem; margin-top:-.2rem; min-width:2px; border-radius:.2rem; background:var(--tone);
  opacity:.38; }
.scale .dot { top:50%; width:.52rem; height:.52rem; margin:-.26rem 0 0 -.26rem; border-radius:50%;
  background:var(--tone); }
.scale .mark { top:0; bottom:0; border-left:1.5px dashed var(--soft); opacity:.75; }
.scale .zero { top:0; bottom:0; border-left:2px solid var(--soft); }
.value b { display:inline-block; min-width:2.6em; font-weight:600; }
.value div { line-height:1.35rem; }
.value span { display:inline-block; min-width:6.4em; color:var(--soft); font-size:.86rem; }

.scroll { overflow-x:auto; }
.plain td, .plain th { padding:.35rem 0 .35rem 1.4rem; border-top:1px solid var(--rule); text-align:right; }
.plain thead th { border-top:0; vertical-align:bottom; }
.plain tbody th, .plain thead td { padding-left:0; border-top-width:1px; text-align:left; font-weight:600; }
.plain thead td { border-top:0; }
.confusion { width:100%; table-layout:fixed; border-collapse:separate; border-spacing:2px; }
.confusion thead td { width:5.2rem; }
.confusion thead th { text-align:center; font-size:.78rem; }
.confusion tbody th { padding-right:.5rem; text-align:right; font-size:.84rem; }
.confusion th { overflow:hidden; text-overflow:ellipsis; }
.confusion tbody td { height:3.2rem; border-radius:5px; text-align:center; font-size:.88rem;
  background:color-mix(in srgb,var(--heat) var(--share),color-mix(in srgb,var(--rule) 45%,var(--paper))); }
.confusion .none { color:var(--soft); opacity:.65; }
.confusion .right { font-weight:700; box-shadow:inset 0 0 0 1.5px color-mix(in srgb,var(--heat) 70%,transparent); }
.confusion .deep { color:var(--deep); }

.drawing { display:block; width:100%; max-width:26rem; margin:0 auto; height:auto; overflow:visible; }
.drawing.flat { max-width:none; }
.pair { display:grid; grid-template-columns:repeat(2,minmax(0,1fr)); gap:1rem 2rem; align-items:center; }
.drawing text { font-size:11px; fill:var(--soft); }
.drawing .rule { stroke:var(--rule); }
.drawing .even { stroke:var(--soft); stroke-dasharray:4 4; }
.drawing polyline { fill:none; stroke:var(--tone0); stroke-width:1.5; opacity:.5; }
.drawing circle { fill:var(--tone0); }
.drawing.many circle { opacity:.4; }
.drawing rect { fill:var(--tone0); opacity:.55; }
.drawing .low { opacity:1; }
.chips { display:flex; flex-wrap:wrap; gap:.5rem; margin:0; padding:0; list-style:none; }
.chips li { padding:.25rem .7rem; border:1px solid var(--rule); border-radius:99px; font-size:.9rem; }
.chips span { color:var(--soft); }
details { padding:0; }
summary { padding:1rem 1.3rem; cursor:pointer; font-weight:600; }
summary span { margin-left:.6rem; color:var(--soft); font-weight:400; }
.inside { padding:0 1rem 1rem; }
.reading ul { margin:0; padding-left:1.1rem; color:var(--soft); font-size:.88rem; }
footer { margin-top:1.2rem; color:var(--soft); font-size:.82rem; }
@media (max-width:860px) { main, .inside { grid-template-columns:minmax(0,1fr); } section.half { height:auto; }
  .pair { grid-template-columns:minmax(0,1fr); } }
@media (max-width:620px) {
  body { padding:1.25rem .75rem 2rem; }
  h1 { font-size:1.5rem; }
  section { padding:1rem .9rem; }
  .tiles { grid-template-columns:repeat(2,minmax(0,1fr)); gap:.75rem; }
  .tile { padding:.7rem .8rem; }
  .tile strong { font-size:1.6rem; }
  .intervals, .intervals thead, .intervals tbody { display:block; }
  .intervals thead tr { display:block; }
  .intervals thead th { display:none; }
  .intervals thead tr .ticks.ticks { display:block; width:auto; padding:0 .4rem; }
  .intervals tbody tr { display:flex; flex-wrap:wrap; align-items:baseline; padding:.35rem 0; }
  .intervals tr + tr { border-top:1px solid var(--rule); }
  .intervals tbody td, .intervals tbody th { padding:0; max-width:none; }
  .intervals tbody .clips { padding-left:.5rem; }
  .intervals .clips::after { content:" " attr(data-unit); }
  .intervals tbody .value { order:1; margin-left:auto; }
  .intervals tbody tr .plot { order:2; flex:0 0 100%; padding:.1rem .4rem; }
  .intervals td[data-name] { order:3; padding-right:1rem; font-size:.84rem; color:var(--soft); }
  .intervals td[data-name]::before { content:attr(data-name) " "; }
  .value span { min-width:0; }
  .confusion thead td { width:3.9rem; }
  .confusion thead th { height:4.6rem; vertical-align:bottom; }
  .confusion thead span { writing-mode:vertical-rl; transform:rotate(180deg); }
  .confusion tbody td { height:2.3rem; font-size:.8rem; }
  .confusion tbody th { font-size:.76rem; padding-right:.3rem; }
}
@media print { body { background:none; max-width:none; } section, .tile, details { break-inside:avoid; } }
"""
)
