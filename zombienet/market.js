// Two providers with a worker each behind two nodes, and a user who asks through a third: two of whoever is drawn, and
// one of each. Gives the number of jobs that were answered and paid. The programs are those in PATH.

const { execFile, spawn } = require("node:child_process");
const { once } = require("node:events");
const { mkdtemp, rm } = require("node:fs/promises");
const { createServer } = require("node:net");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { promisify } = require("node:util");

const PROVIDERS = [
  { key: "//Bob", prices: ["1 mASY", "3 mASY"] },
  { key: "//Eve", prices: ["1 mASY", "4 mASY"] },
];
const QUESTIONS = [
  ["What is Assay?"],
  ["What is a bond?"],
  // The draw alone may never have come upon one of them.
  ...PROVIDERS.map(({ key }) => ["What is a provider?", "--provider", key]),
];
const DEMO = join(__dirname, "../models/demo/assay-demo");

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function run(observer, { nodesByName }) {
  const folder = await mkdtemp(join(tmpdir(), "assay-zombienet-"));
  const model = join(folder, "model");
  const workers = [];
  const assay = async (node, key, ...words) => {
    const common = ["--chain", nodesByName[node].wsUri, "--key", key, "--output", "json"];
    const { stdout } = await promisify(execFile)("assay", [...common, ...words]);
    return stdout.trim() === "" ? null : JSON.parse(stdout);
  };
  try {
    await assay(observer, "//Charlie", "model", "import", DEMO, model);
    await assay(observer, "//Charlie", "model", "register", model, "--royalty", "2");
    for (const [index, { key, prices }] of PROVIDERS.entries()) {
      const node = ["alice", "dave"][index];
      const operator = `${key}//operator`;
      const { stdout } = await promisify(execFile)("assay-node", ["key", "inspect", "--output-type", "json", operator]);
      const account = JSON.parse(stdout).ss58Address;
      await assay(node, key, "provider", "register", "--bond", "1000 ASY", "--operator", account);
      await assay(node, key, "provider", "offer", "--input-price", prices[0], "--output-price", prices[1]);
      await assay(node, key, "transfer", account, "10 ASY");
      const http = `127.0.0.1:${await freePort()}`;
      const ledger = join(folder, `${node}.redb`);
      const words = ["--chain", nodesByName[node].wsUri, "--operator-key", operator, "--model", model];
      workers.push(spawn("assay-worker", [...words, "--ledger", ledger, "--http", http], { stdio: "ignore" }));
    }
    let paid = 0;
    for (const question of QUESTIONS) {
      const words = ["--model-dir", model, "--max-tokens", "16"];
      const answer = await assay(observer, "//Dave", "run", ...question, ...words);
      paid += answer.text.length > 0 ? 1 : 0;
    }
    return paid;
  } finally {
    for (const worker of workers) worker.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

module.exports = { run };
