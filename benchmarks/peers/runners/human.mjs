// The emotion network of `@vladmandic/human` on grey faces, as src/gear/emotion.ts feeds it: three equal channels from 0
// to 1, resized by resizeBilinear, turned grey by its own weights, scaled to -1 to 1.
//
//     node human.mjs PACKAGE WEIGHTS FACES ANSWERS HEIGHT WIDTH      (in the folder of the environment)

import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const tf = require('@tensorflow/tfjs');
require('@tensorflow/tfjs-backend-wasm').setWasmPaths(
  `${path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))}/dist/`,
);

const [folder, weights, faces, answers, height, width] = process.argv.slice(2);
const [H, W, BATCH] = [Number(height), Number(width), 64];
await tf.setBackend('wasm');

const place = path.join(folder, weights);
const content = JSON.parse(fs.readFileSync(place, 'utf8'));
const group = content.weightsManifest.flatMap((part) => part.weights);
const files = content.weightsManifest.flatMap((part) => part.paths);
const data = Buffer.concat(files.map((name) => fs.readFileSync(path.join(path.dirname(place), name))));
const model = await tf.loadGraphModel(tf.io.fromMemory({
  modelTopology: content.modelTopology,
  weightSpecs: group,
  weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.length),
  format: content.format,
  userDefinedMetadata: content.userDefinedMetadata,
}));
const size = model.inputs[0].shape[2];

const pixels = fs.readFileSync(faces);
const n = pixels.length / (H * W);
const found = [];
for (let start = 0; start < n; start += BATCH) {
  const many = Math.min(BATCH, n - start);
  const outputs = tf.tidy(() => {
    const grey = tf.tensor4d(Float32Array.from(pixels.subarray(start * H * W, (start + many) * H * W)), [many, H, W, 1]);
    const image = tf.tile(grey.div(255), [1, 1, 1, 3]);
    const resized = tf.image.resizeBilinear(image, [size, size], false);
    const weighted = tf.sum(tf.mul(resized, tf.tensor1d([0.2989, 0.5870, 0.1140])), 3, true);
    return model.execute(tf.mul(tf.sub(weighted, 0.5), 2));
  });
  found.push(Buffer.from((await outputs.data()).slice().buffer));
  outputs.dispose();
}
fs.writeFileSync(answers, Buffer.concat(found));
