// The expression network of `@vladmandic/face-api`, through its own predictExpressions on the whole face.
//
//     node face_api.mjs PACKAGE WEIGHTS FACES ANSWERS HEIGHT WIDTH      (in the folder of the environment)

import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const tf = require('@tensorflow/tfjs');
require('@tensorflow/tfjs-backend-wasm').setWasmPaths(
  `${path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))}/dist/`,
);

const [folder, weights, faces, answers, height, width] = process.argv.slice(2);
const [H, W, BATCH] = [Number(height), Number(width), 32];
// It asks for tfjs from where it is: a link there leads to the environment's.
const modules = path.join(folder, 'node_modules');
if (!fs.existsSync(modules)) fs.symlinkSync(path.join(process.cwd(), 'node_modules'), modules);
const faceapi = require(path.join(folder, 'dist', 'face-api.node-wasm.js'));
await tf.setBackend('wasm');
const network = faceapi.nets.faceExpressionNet;
await network.loadFromDisk(path.join(folder, path.dirname(weights)));

const pixels = fs.readFileSync(faces);
const n = pixels.length / (H * W);
const names = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised'];
const found = new Float32Array(n * names.length);
for (let start = 0; start < n; start += BATCH) {
  const many = Math.min(BATCH, n - start);
  const images = [];
  for (let i = start; i < start + many; i += 1) {
    const grey = Float32Array.from(pixels.subarray(i * H * W, (i + 1) * H * W));
    images.push(tf.tidy(() => tf.tile(tf.tensor3d(grey, [H, W, 1]), [1, 1, 3])));
  }
  const outputs = await network.predictExpressions(images);
  outputs.forEach((one, i) => names.forEach((name, j) => { found[(start + i) * names.length + j] = one[name]; }));
  tf.dispose(images);
}
fs.writeFileSync(answers, Buffer.from(found.buffer));
