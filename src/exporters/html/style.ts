/** The stylesheet of the page: light and dark by the reader's own setting, narrow screens, and paper. */
export const STYLE = `
:root{--text:#1d2330;--dim:#5d6676;--line:#cfd5df;--shade:#7a8699;--back:#fff;--card:#f6f8fb;--bad:#b3261e;--warn:#8a5a00;--good:#1f7a43;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--text:#e6e9ef;--dim:#a0a9b8;--line:#3a4353;--shade:#8793a8;--back:#14181f;--card:#1c222c;--bad:#ff8a80;--warn:#f2b84b;--good:#6fd394}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:20px;background:var(--back);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:34px 0 8px}h3{font-size:15px;margin:18px 0 6px}
p{margin:4px 0}.lead,figcaption,.dim{color:var(--dim)}h1,h2,p,li,summary{overflow-wrap:anywhere}
nav{margin:12px 0;display:flex;flex-wrap:wrap;gap:4px 14px}nav a{color:inherit}
.cards{display:flex;flex-wrap:wrap;gap:10px;margin:14px 0}.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 14px;min-width:130px}
.card b{display:block;font-size:20px}.card span{color:var(--dim);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr));gap:16px}
.charts.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr))}.tables{display:flex;flex-wrap:wrap;gap:0 32px}.tables>*{max-width:100%}.charts.wide{grid-template-columns:minmax(0,620px);margin-top:12px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px}
figure svg{display:block;width:100%;height:auto}figcaption{font-size:13px;padding:2px 6px 4px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px}
th,td{padding:3px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}th{font-weight:600}
th.left,td.left{text-align:left}td{vertical-align:top}.facts td,td.text{white-space:normal;overflow-wrap:anywhere}td.text{min-width:120px}
.side{display:inline-block;width:max-content;max-width:220px;white-space:normal;overflow-wrap:anywhere;vertical-align:top}
.swatch{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}
ul.notes{padding-left:18px;margin:6px 0}details{margin:8px 0}summary{cursor:pointer}
@media (max-width:600px){body{padding:12px;font-size:14px}h1{font-size:21px}th,td{padding:3px 6px}.scroll :is(th,td):first-child{position:sticky;left:0;background:var(--back)}.facts tr,.facts th,.facts td{display:block}.facts tr{border-bottom:1px solid var(--line)}.facts th,.facts td{border:0;white-space:normal;overflow-wrap:anywhere}}
@media print{:root{--text:#000;--dim:#444;--line:#bbb;--shade:#888;--back:#fff;--card:#fff;--bad:#b3261e;--warn:#8a5a00;--good:#1f7a43}body{max-width:none;padding:0}nav{display:none}figure,tr{break-inside:avoid}details::details-content{content-visibility:visible}details:not([open])>*{display:block}.scroll{overflow:visible}table{font-size:9.5px}th,td{padding:2px 4px}th{white-space:normal}.charts{grid-template-columns:1fr 1fr}.charts.small{grid-template-columns:repeat(4,1fr)}h2,h3,summary{break-after:avoid}}
`.trim();
