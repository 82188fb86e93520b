// A shop that sells prepaid credits, told with the official SDK for TypeScript: `node story.mts ADDRESS`.
// It talks to a sandbox that stands at 2026-03-10, 09:00, verifies its webhooks as the SDK does, and
// prints what it saw as JSON.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Metronome from "@metronome/sdk";

const SECRET = "a secret of the shop";
const RELEASE = "/v1/contracts/commits/threshold-billing/release";
const START = "2026-03-10T09:00:00Z";

const address: string = process.argv[2];
const client = new Metronome({
  bearerToken: "sandbox",
  webhookSecret: SECRET,
  baseURL: address,
  maxRetries: 0,
});

// The next notification of a kind.
const arrived: any[] = [];
const waiting: { kind: string; take: (found: any) => void }[] = [];
function nextOf(kind: string): Promise<any> {
  return new Promise((take) => {
    waiting.push({ kind, take });
    serve();
  });
}
function serve() {
  for (const one of [...waiting]) {
    const place = arrived.findIndex((event) => event.type === one.kind);
    if (place < 0) continue;
    waiting.splice(waiting.indexOf(one), 1);
    one.take(arrived.splice(place, 1)[0].properties);
  }
}

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (piece) => (body += piece));
  request.on("end", () => {
    try {
      arrived.push(client.webhooks.unwrap(body, request.headers));
      response.writeHead(200).end();
    } catch (error) {
      console.error(error);
      response.writeHead(400).end();
    }
    serve();
  });
});
await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`;
await client.post("/_sandbox/webhooks", { body: { url, secret: SECRET } });

const { v1, v2 } = client;
let unit = "";
for await (const one of v1.pricingUnits.list()) if (one.name === "Credits") unit = one.id!;
const metric = await v1.billableMetrics.create({
  name: "Words",
  aggregation_type: "SUM",
  aggregation_key: "words",
  event_type_filter: { in_values: ["translation"] },
  property_filters: [{ name: "words", exists: true }],
});
const usage = await v1.contracts.products.create({
  name: "Translation",
  type: "USAGE",
  billable_metric_id: metric.data.id,
});
const prepaid = await v1.contracts.products.create({ name: "Prepaid words", type: "FIXED" });
const card = await v1.contracts.rateCards.create({
  name: "List",
  credit_type_conversions: [{ custom_credit_type_id: unit, fiat_per_custom_credit: 1 }],
});
await v1.contracts.rateCards.rates.add({
  rate_card_id: card.data.id,
  product_id: usage.data.id,
  entitled: true,
  rate_type: "FLAT",
  price: 2,
  credit_type_id: unit,
  starting_at: "2026-02-01T00:00:00Z",
});

const customer = (await v1.customers.create({ name: "Ann", ingest_aliases: ["ann"] })).data.id;
const item = { amount: 5000, starting_at: START, ending_before: "2026-04-09T09:00:00Z" };
const access = { credit_type_id: unit, schedule_items: [item] };
const contract = await v1.contracts.create({
  customer_id: customer,
  rate_card_id: card.data.id,
  starting_at: START,
  commits: [{ product_id: prepaid.data.id, type: "PREPAID", access_schedule: access }],
});
const ids = { contract_id: contract.data.id, customer_id: customer };
await v2.contracts.edit({
  ...ids,
  add_prepaid_balance_threshold_configuration: {
    commit: { product_id: prepaid.data.id },
    is_enabled: true,
    payment_gate_config: { payment_gate_type: "EXTERNAL" },
    threshold_amount: 1000,
    recharge_to_amount: 6000,
    custom_credit_type_id: unit,
  },
});

async function left(): Promise<number> {
  const found = await v1.contracts.getNetBalance({ customer_id: customer, credit_type_id: unit });
  return found.data.balance;
}

const event = {
  transaction_id: `translation of ${customer}`,
  customer_id: "ann",
  event_type: "translation",
  timestamp: START,
  properties: { words: "2250" },
};
await v1.usage.ingest({ usage: [event] });
await v1.usage.ingest({ usage: [event] });
const afterUsage = await left();

const asked = await nextOf("payment_gate.external_initiate");
await client.post(RELEASE, { body: { workflow_id: asked.workflow_id, outcome: "paid" } });
const afterRecharge = await left();

await client.post("/_sandbox/clock", { body: { advance_seconds: 40 * 86_400 } });
const invoices = new Set<string>();
for await (const invoice of v1.customers.invoices.list({ customer_id: customer }))
  invoices.add(`${invoice.type} ${invoice.status}`);
const kept = await v2.contracts.retrieve(ids);
const seen = {
  after_usage: afterUsage,
  invoice_total_cents: asked.invoice_total,
  after_recharge: afterRecharge,
  after_40_days: await left(),
  commits: kept.data.commits!.length,
  invoices: [...invoices].sort(),
};
console.log(JSON.stringify(seen));
server.closeAllConnections();
server.close();
