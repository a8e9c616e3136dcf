// The paired test of boards and `fer-bench compare`, in the page; docs/scores.md has the formulas.
"use strict";
FerBench.stats = (() => {
  function bits(text, n) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const found = new Uint8Array(n);
    for (let i = 0; i < n; i++) found[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
    return found;
  }
  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  }

  // Deviations of a row's mean score over test samples, whose products are covariances.
  function deviations(test) {
    if (test.deviations) return floats(test.deviations);
    const runs = test.outcomes.map((text) => bits(text, test.n));
    const found = new Float64Array(test.n);
    for (const run of runs) {
      let sum = 0;
      for (const bit of run) sum += bit;
      const mean = sum / test.n;
      for (let i = 0; i < test.n; i++) found[i] += (run[i] - mean) / test.n / runs.length;
    }
    return found;
  }

  function logGamma(x) {
    // Lanczos, g = 7, n = 9.
    const c = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
    if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
    const t = x + 6.5;
    let sum = c[0];
    for (let i = 1; i < 9; i++) sum += c[i] / (x - 1 + i);
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
  }
  function fraction(x, a, b) {
    // The continued fraction of the incomplete beta function, by Lentz's method.
    const tiny = 1e-300;
    let c = 1;
    let d = 1 - ((a + b) * x) / (a + 1);
    d = 1 / (Math.abs(d) < tiny ? tiny : d);
    let h = d;
    for (let m = 1; m < 500; m++) {
      for (const factor of [(m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)), (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))]) {
        d = 1 + factor * d;
        d = 1 / (Math.abs(d) < tiny ? tiny : d);
        c = 1 + factor / c;
        c = Math.abs(c) < tiny ? tiny : c;
        h *= d * c;
      }
      if (Math.abs(d * c - 1) < 1e-15) break;
    }
    return h;
  }
  function beta(x, a, b) {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
    return x < (a + 1) / (a + b + 2) ? (front * fraction(x, a, b)) / a : 1 - (front * fraction(1 - x, b, a)) / b;
  }
  // Many degrees of freedom are as good as infinitely many.
  const MANY = 1e7;
  const twoSided = (t, df) => {
    const known = Math.min(df, MANY);
    return t === 0 ? 1 : Number.isFinite(t) ? beta(known / (known + t * t), known / 2, 0.5) : 0;
  };
  function quantile(df) {
    let [low, high] = [0, 1e4];
    for (let i = 0; i < 200; i++) {
      const middle = (low + high) / 2;
      if (twoSided(middle, df) > 0.05) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  // Both rows' noise of training counts; what of it variance over test samples holds already is taken out once.
  function compare(a, b) {
    const [da, db] = [deviations(a.test), deviations(b.test)];
    const difference = a.value - b.value;
    let over = difference ** 2 / a.test.units;
    for (let i = 0; i < da.length; i++) over += (da[i] - db[i]) ** 2;
    const part = (row, name) => (row.test.noise ? row.test.noise[name] / row.seeds : 0);
    const df = (row) => (row.test.noise ? row.test.noise.df : Infinity);
    const [ta, tb] = [part(a, "trained"), part(b, "trained")];
    const total = Math.max(over - part(a, "flips") - part(b, "flips"), 0) + ta + tb;
    const shared = JSON.stringify(a.test.noise) === JSON.stringify(b.test.noise);
    const uncertain = shared ? (ta + tb) ** 2 / df(a) : ta ** 2 / df(a) + tb ** 2 / df(b);
    const degrees = uncertain > 0 ? total ** 2 / uncertain : Infinity;
    const t = total > 1e-18 ? Math.abs(difference) / Math.sqrt(total) : Math.abs(difference) > 1e-12 ? Infinity : 0;
    const half = quantile(degrees) * Math.sqrt(total);
    return { difference, low: difference - half, high: difference + half, p: twoSided(t, degrees), trained: Boolean(a.test.noise || b.test.noise) };
  }

  // Samples that both, one or neither answered rightly, of rows with one seed; and McNemar's test of them.
  function counts(a, b) {
    if (!(a.test.outcomes?.length === 1 && b.test.outcomes?.length === 1)) return null;
    const [one, other] = [bits(a.test.outcomes[0], a.test.n), bits(b.test.outcomes[0], b.test.n)];
    const found = { both: 0, onlyA: 0, onlyB: 0, neither: 0 };
    one.forEach((bit, i) => found[bit ? (other[i] ? "both" : "onlyA") : other[i] ? "onlyB" : "neither"]++);
    return { ...found, p: mcnemar(found.onlyA, found.onlyB) };
  }
  function mcnemar(onlyA, onlyB) {
    const n = onlyA + onlyB;
    if (n >= 25) return twoSided(Math.max(0, Math.abs(onlyA - onlyB) - 1) / Math.sqrt(n), Infinity);
    let tail = 0;
    for (let k = 0; k <= Math.min(onlyA, onlyB); k++) tail += Math.exp(logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1));
    return Math.min(1, (2 * tail) / 2 ** n);
  }
  return { compare, counts };
})();
