/*
 * key_store.hpp
 *		The keys of a query's rows by row number, in memory up to work_mem and in a
 *		temporary file beyond it.
 */
#pragma once

typedef struct KeyStore KeyStore;

/* Make a store of keys of a type; it lives in the current memory context. */
extern KeyStore *MakeKeyStore(Oid key_type);

/* Close the store's temporary files and free it. */
extern void FreeKeyStore(KeyStore *store);

/* Append the key of the next row. */
extern void AppendKey(KeyStore *store, Datum key);

/* Number of keys appended. */
extern uint64 CountKeys(const KeyStore *store);

/*
 * The key of a row, counted from 0. `slot` is 0 or 1: a key stays good until the
 * next call with its slot. No key may be appended after the first call.
 */
extern Datum GetKey(KeyStore *store, uint64 row, int slot);
