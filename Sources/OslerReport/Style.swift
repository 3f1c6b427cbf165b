/// The report's style sheet. Light and dark follow the reader's system.
enum Style {
    static let sheet: HTML = """
        :root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#16191d;--soft:#565d68;--line:#dfe3e8;--grid:#e8ebef;\
        --s0:#1f6fd0;--s1:#c75d00;--good:#0b7a3e;--bad:#b3261e;--goodback:#e6f4ea;--badback:#fbe9e7;--plain:#eef1f5}
        @media(prefers-color-scheme:dark){:root{--page:#111418;--card:#1a1e24;--ink:#e8eaed;--soft:#a2a9b4;--line:#313740;\
        --grid:#2a3038;--s0:#6aa9ff;--s1:#ff9d4d;--good:#6fd296;--bad:#ff8a80;--goodback:#17301f;--badback:#3a1f1d;--plain:#242a32}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,\
        "Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
        main{max-width:1160px;margin:0 auto;padding:28px 20px 60px}
        h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
        h2{font-size:19px;margin:38px 0 12px}
        h3{font-size:15px;margin:22px 0 8px}
        p{margin:6px 0}.soft{color:var(--soft)}
        .badge{display:inline-block;border-radius:99px;padding:1px 10px;font-size:13px;font-weight:600;background:var(--plain);\
        vertical-align:3px;margin-left:8px;white-space:nowrap}
        .badge.good{background:var(--goodback);color:var(--good)}.badge.bad{background:var(--badback);color:var(--bad)}
        .tiles{display:flex;flex-wrap:wrap;gap:12px;margin:22px 0 0}
        .tile,.card,.chart{background:var(--card);border:1px solid var(--line);border-radius:10px}
        .tile{padding:12px 14px;flex:1 1 118px}
        .tile b{display:block;font-size:20px;line-height:1.3;font-weight:650;white-space:nowrap}
        .tile span{color:var(--soft);font-size:13px;display:block}
        .card{padding:4px 16px;overflow-x:auto}
        table{border-collapse:collapse;width:100%}
        th,td{text-align:left;padding:8px 14px 8px 0;border-bottom:1px solid var(--line);vertical-align:top}
        tr:last-child>th,tr:last-child>td{border-bottom:0}
        th{font-weight:600;color:var(--soft);font-size:13px}
        td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.n:last-child,th.n:last-child{padding-right:0}
        .pairs th{width:190px}.pairs td{overflow-wrap:anywhere}
        .hash{font:12px/1.5 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;color:var(--soft);overflow-wrap:anywhere}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:14px}
        .chart{margin:0;padding:12px 12px 6px}.chart svg{display:block;width:100%;height:auto}
        figcaption{font-weight:600;font-size:14px;display:flex;flex-wrap:wrap;gap:2px 16px;padding:0 4px 4px}
        .legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-weight:400;color:var(--soft);font-size:13px}
        .key::before{content:"";display:inline-block;width:16px;height:0;border-top:3px solid currentColor;vertical-align:4px;\
        margin-right:6px}
        .key.s0::before{border-color:var(--s0)}.key.s1::before{border-color:var(--s1)}.key.level::before{border-top:2px dashed var(--soft)}
        svg text{fill:var(--soft);font-size:13px}svg .y{text-anchor:end}svg .x{text-anchor:middle}
        svg .grid{stroke:var(--grid)}svg .axis{stroke:var(--line)}svg line.level{stroke:var(--soft);stroke-dasharray:5 4}
        svg .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}svg .tip{fill:transparent}
        svg .s0 .line{stroke:var(--s0)}svg .s1 .line{stroke:var(--s1)}
        svg .dot{stroke:var(--card);stroke-width:1.5}svg .s0 .dot{fill:var(--s0)}svg .s1 .dot{fill:var(--s1)}
        .bar{display:flex;height:16px;border-radius:4px;overflow:hidden;background:var(--plain);margin:4px 0}
        .bar i{display:block;background:var(--s0)}.bar i.s1{background:var(--s1)}
        svg.interval{width:180px;height:34px;display:block}svg.interval .s0{stroke:var(--s0);fill:var(--s0)}
        svg.interval .s1{stroke:var(--s1);fill:var(--s1)}svg.interval line{stroke-width:2}
        .good-text{color:var(--good);font-weight:600}.bad-text{color:var(--bad);font-weight:600}
        details{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:10px 0;padding:0 16px}
        summary{cursor:pointer;padding:11px 0;font-weight:600;overflow-wrap:anywhere}
        details[open]>summary{border-bottom:1px solid var(--line);margin-bottom:10px}
        .question{white-space:pre-wrap;overflow-wrap:anywhere;margin:0 0 10px}
        .sides{display:grid;grid-template-columns:1fr 1fr;gap:14px;padding-bottom:14px}
        .side{border:1px solid var(--line);border-radius:8px;padding:10px 12px;min-width:0}
        .side h4{margin:0 0 6px;font-size:14px}
        .reasoning,.answer,pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}
        .reasoning{color:var(--soft);border-left:3px solid var(--line);padding-left:10px;margin-bottom:8px;max-height:340px;\
        overflow-y:auto}
        pre{font:13px/1.5 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;padding:12px 0}
        ul.notes{margin:10px 0;padding-left:20px}
        footer{margin-top:44px;color:var(--soft);font-size:13px;border-top:1px solid var(--line);padding-top:14px}
        @media(max-width:640px){main{padding:18px 16px 40px}.sides{grid-template-columns:1fr}\
        .pairs,.pairs tbody,.pairs tr,.pairs th,.pairs td{display:block;width:auto}.pairs th{border:0;padding:8px 0 0}\
        .pairs td{padding:0 0 8px}h1{font-size:22px}}
        @media print{body{background:#fff}.tile,.card,.chart,details{break-inside:avoid}}
        """
}
