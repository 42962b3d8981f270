/** A job whose cost is known at its end: hold, work, commit; whatever fails gives the credits back. */
import { Client, InsufficientCreditsError } from "@quotastack/client";

const client = new Client({ timeout: 10_000 });

export async function generate(user: string, job: string, render: () => Promise<{ looks: number; url: string }>) {
  try {
    return await client.hold(
      { end_user_id: user, feature_key: "look", estimated_units: 4, ttl_seconds: 300 },
      async (hold) => {
        const { looks, url } = await render();
        hold.actual_units = looks;
        return url;
      },
      { idempotencyKey: `generate:${job}` },
    );
  } catch (error) {
    if (error instanceof InsufficientCreditsError) return `${error.shortfall / 1000} credits are missing`;
    throw error;
  }
}
