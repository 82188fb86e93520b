// What the verifier of Standard Webhooks reads of a delivery, or null if it refuses.
import standardwebhooks from "standardwebhooks";

const { Webhook, WebhookVerificationError } = standardwebhooks;
const { secret, body, headers } = JSON.parse(process.env.ASKED);
let read = null;
try {
  read = new Webhook(secret).verify(body, headers);
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
}
console.log(JSON.stringify(read));
