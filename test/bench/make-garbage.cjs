// Preloaded, it keeps the garbage collector of a process busy and holds its event loop up for 40 ms, five times a second.
let kept = [];
setInterval(() => {
  const until = performance.now() + 40;
  while (performance.now() < until) {
    kept.push({ text: String(Math.random()), list: new Array(50).fill(kept.length) });
    if (kept.length > 100_000) kept = [];
  }
}, 200).unref();
