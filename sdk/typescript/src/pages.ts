/** Lists that fetch their next page when it is needed. */
import type { Pagination } from "./generated/schemas.js";

/** One page as it was answered. */
export interface Page<T> {
  data: T[];
  pagination: Pagination;
}

/**
 * A list. `for await (const item of list)` goes through all of it, a page at a time; `await list` is the first page.
 * Nothing is fetched before one of them.
 */
export class Pages<T> implements AsyncIterable<T>, PromiseLike<Page<T>> {
  readonly #fetch: (cursor?: string) => Promise<Page<T>>;

  constructor(fetch: (cursor?: string) => Promise<Page<T>>) {
    this.#fetch = fetch;
  }

  /** Page after page, for who needs the cursors. */
  async *pages(): AsyncGenerator<Page<T>, void, undefined> {
    let page = await this.#fetch();
    yield page;
    while (page.pagination.has_more && page.pagination.next_cursor) {
      page = await this.#fetch(page.pagination.next_cursor);
      yield page;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const page of this.pages()) yield* page.data;
  }

  /** At most `max` items, in a list. */
  async take(max: number): Promise<T[]> {
    const taken: T[] = [];
    if (max <= 0) return taken;
    for await (const item of this) {
      taken.push(item);
      if (taken.length >= max) break;
    }
    return taken;
  }

  then<A = Page<T>, B = never>(
    whenDone?: ((page: Page<T>) => A | PromiseLike<A>) | null,
    whenFailed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#fetch().then(whenDone, whenFailed);
  }
}
