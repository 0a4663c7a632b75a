/** A compile-time tag: two branded types over one primitive don't mix. Costs nothing at run time. */
declare const brand: unique symbol;

export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
