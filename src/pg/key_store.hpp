/*
 * key_store.hpp
 *		The keys of a query's rows by row number, in memory up to work_mem and in
 *		temporary files beyond it.
 *
 *		KeyStore *store = MakeKeyStore(type);
 *		AppendKey(store, key);							(for each row)
 *		limit = PrepareKeys(store, bytes);
 *		GetKeys(store, rows, count, keys);				(any number of times)
 *		FreeKeyStore(store);
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
 * End the appending and prepare for GetKeys(); returns how many keys may be asked for
 * at once, at least 1024. The keys are read fastest by as many, which take work_mem
 * together with `bytes_each` of the caller's own for each key.
 */
extern int PrepareKeys(KeyStore *store, Size bytes_each);

/*
 * The keys of `count` rows, counted from 0, in any order and repeated as you like.
 * They stay good until the next call.
 */
extern void GetKeys(KeyStore *store, const uint32 *rows, int count, Datum *keys);
