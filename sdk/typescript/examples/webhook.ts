/** A receiver, on anything that speaks the Web's Request and Response. */
import { verifyWebhook, WebhookError, type WebhookEvent } from "@quotastack/client";

export function receiver(secret: string, handle: (event: WebhookEvent) => Promise<void>) {
  return async (request: Request): Promise<Response> => {
    try {
      await handle(await verifyWebhook(request, secret));
      return new Response(null, { status: 204 });
    } catch (error) {
      if (error instanceof WebhookError) return new Response(error.message, { status: 400 });
      throw error;
    }
  };
}
