// Run shipped models in a browser; called by browser.py, which says what to do.
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';

const chunks = [];
for await (const chunk of process.stdin) {
  chunks.push(chunk);
}
const job = JSON.parse(Buffer.concat(chunks));
const require = createRequire(pathToFileURL(`${job.packages}/`));
const load = async (name) => (await import(pathToFileURL(require.resolve(name)))).default;
const chromium = await load('@sparticuz/chromium');
const puppeteer = await load('puppeteer-core');
const browser = await puppeteer.launch({
  args: [...chromium.args, '--no-sandbox'],
  executablePath: await chromium.executablePath(),
  headless: 'shell',
});
const page = await browser.newPage();
page.setDefaultTimeout(0);
await page.goto(`${job.server}/page.html`);
const results = {};
for (const name of job.models) {
  results[name] = await page.evaluate(async ({name, people}) => {
    const {Predictor} = await import('/tinypose.js');
    const predictor = await Predictor.load(`/${name}.tflite`, {
      wasm: '/packages/@litertjs/core/wasm/',
    });
    const found = [];
    for (const {url, box} of people) {
      const picture = new Image();
      picture.src = url;
      await picture.decode();
      const started = performance.now();
      const pose = await predictor.predict(picture, box);
      found.push({pose, milliseconds: performance.now() - started});
    }
    predictor.delete();
    return found;
  }, {name, people: job.people});
}
console.log(JSON.stringify({browser: await browser.version(), results}));
await browser.close();
