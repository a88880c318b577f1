// Polkadot-JS, which most wallets and explorers of Substrate chains are made of: `node_polkadot.mjs WS_URL KEY
// [CHECK…]`. KEY is the secret URI of an account with money.

import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { expect, run } from './checks.mjs';

const [url, secret] = process.argv.slice(2);
// What it has to say about metadata goes where no line of JSON is expected.
console.warn = console.log = console.error;
const say = (line) => process.stdout.write(`${line}\n`);
const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
const keys = new Keyring({ type: 'sr25519', ss58Format: api.registry.chainSS58 });
const sender = keys.addFromUri(secret);
const recipient = keys.addFromUri('//Nobody//before');
const asy = 10n ** 12n;

// The events of a transaction, once it is in a block.
function included(call, options = {}) {
  return new Promise((resolve, reject) => {
    call.signAndSend(sender, options, ({ status, events, dispatchError }) => {
      if (dispatchError) reject(new Error(api.registry.findMetaError(dispatchError.asModule).name));
      else if (status.isInBlock) resolve(events.map(({ event }) => `${event.section}.${event.method}`));
    }).catch(reject);
  });
}

await run({
  async the_chain_says_how_to_show_money_and_addresses() {
    const { chainDecimals, chainTokens, chainSS58 } = api.registry;
    expect(chainDecimals[0] === 12 && chainTokens[0] === 'ASY' && chainSS58 === 42, { chainDecimals, chainTokens });
    expect(sender.address.startsWith('5'), sender.address);
  },

  async every_pallet_is_read() {
    for (const pallet of ['jobs', 'channels', 'disputes', 'providers', 'models', 'validators', 'referenda']) {
      expect(api.tx[pallet] && api.query[pallet], pallet);
    }
    const parameters = (await api.query.validators.params()).toJSON();
    expect(parameters.minValidators >= 1, parameters);
    expect((await api.query.session.validators()).length >= 1, 'nobody validates');
  },

  async a_transfer_with_default_options_arrives() {
    const { partialFee } = await api.tx.balances.transferKeepAlive(recipient.address, asy).paymentInfo(sender);
    expect(partialFee.toBigInt() > 0n && partialFee.toBigInt() < asy, partialFee);
    const before = (await api.query.system.account(recipient.address)).data.free.toBigInt();
    const events = await included(api.tx.balances.transferKeepAlive(recipient.address, asy));
    expect(events.includes('balances.Transfer') && events.includes('system.ExtrinsicSuccess'), events);
    const after = (await api.query.system.account(recipient.address)).data.free.toBigInt();
    expect(after === before + asy, { before: String(before), after: String(after) });
  },

  async an_error_has_its_name() {
    const error = await included(api.tx.validators.chill()).then(() => 'none', (caught) => caught.message);
    expect(error === 'NotBonded', error);
  },

  async what_is_on_hold_says_for_what() {
    await included(api.tx.validators.bond(500n * asy));
    const holds = (await api.query.balances.holds(sender.address)).toHuman();
    expect(JSON.stringify(holds).includes('Validators'), holds);
  },
}, say);
await api.disconnect();
