// Reads {secret, body, headers} and writes what the verifier makes of them, or null if it refuses.
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const { secret, body, headers } = JSON.parse(require("fs").readFileSync(0, "utf8"));
let read = null;
try {
  read = new Webhook(secret).verify(body, headers);
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
}
process.stdout.write(JSON.stringify(read));
