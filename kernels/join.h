// All kernels of the join, in the order in which they need each other.
#include "join_table.h"

#include "join_partition.h"

#define ITEM u32
#define SCAN(name) name##_u32
#include "scan.h"
#undef ITEM
#undef SCAN

#define ITEM u64
#define SCAN(name) name##_u64
#include "scan.h"
#undef ITEM
#undef SCAN

#include "join_compare.h"
