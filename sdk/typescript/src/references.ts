/**
 * Who a call is about: our id, or yours. `end_user_id` is another name of `external_customer_id`.
 * Exactly one of them is given.
 */
export type CustomerReference =
  | { customer_id: string; external_customer_id?: never; end_user_id?: never }
  | { external_customer_id: string; customer_id?: never; end_user_id?: never }
  | { end_user_id: string; customer_id?: never; external_customer_id?: never };

/** What a call is about: a metric, under one of its two names. */
export type FeatureReference =
  | { billable_metric_key: string; feature_key?: never }
  | { feature_key: string; billable_metric_key?: never };

/** A body without fields of its own. */
export interface EmptyRequest {
  /** Stands for the `Idempotency-Key` header. */
  idempotency_key?: string;
}

/** A customer: your own id of them as a text, or a reference that says whose id it is. */
export type Customer = string | CustomerReference;

export function referenceTo(customer: Customer): CustomerReference {
  return typeof customer === "string" ? { external_customer_id: customer } : customer;
}
