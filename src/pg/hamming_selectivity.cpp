/*
 * hamming_selectivity.cpp
 *		What the planner may expect of hamming_within(a, b, max_distance).
 *
 * ANALYZE leaves of a column its most common values with their exact shares, and histogram bounds,
 * which are an even sample of all other values.  Of hashes these say:
 *
 *	- Common values (blank images, placeholders) are compared one by one: their shares are exact.
 *	- Any other value meets its equals with chance 1 / (number of distinct values), as eqsel and
 *	  eqjoinsel have it.  That takes one side's values to be among the other's, which is right for
 *	  a column and itself; two collections of photographs are no keys of each other, so there half
 *	  of it is taken: the usual word for not knowing.
 *	- Near but unequal values are counted in the sample.  A sample of 100 cannot see a share below
 *	  a hundredth, though, and the usual threshold is far out in the tail.  So the count has a
 *	  floor: the distance of two unrelated hashes behaves as if they had not 64 but fewer,
 *	  independent bits, each worth 64 / bits of distance and unequal with chance p, so that
 *
 *		P(distance <= k) = P(Binomial(bits, p) <= k * bits / 64).
 *
 *	  Mean and variance of the distances in the sample give p and bits.  Where there is no sample,
 *	  the hashes are taken for dHashes: mean 32 and standard deviation 4.58 (measured on 40,000
 *	  hashes of random fields with a natural 1/f spectrum) are p = 1/2 and bits = (32 / 4.58)^2 =
 *	  49.  This says 55 times as many pairs within 10 as 64 fair bits would; 45 were measured.
 *
 * Near-duplicates that are neither equal nor in the sample (bursts, re-encoded copies) stay unseen:
 * nothing that ANALYZE keeps knows of them.
 *
 * With max_distance 0 the call is replaced by a = b, which indexes and hash joins serve.
 */
#include "pg/hamming.hpp"

#include <cmath>

extern "C"
{
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"
}

/* Of a longer list only so many values are compared: 512 x 512 distances take 0.5 ms. */
static const int MAX_VALUES = 512;

/* Fewer sampled pairs than this (20 values) say too little about their distances. */
static const int64 MIN_PAIRS = 190;

/* Independent bits of a dHash; see above. */
static const int DHASH_EFFECTIVE_BITS = 49;

/* Distance assumed where max_distance is not known while planning. */
static const int UNKNOWN_MAX_DISTANCE = 8;

/* What the statistics say of one side of the comparison. */
struct HashStatistics
{
	double null_fraction;
	int common_count; /* the most common values, the commonest first, ... */
	uint64 *common;
	double *frequency;	  /* ... and their shares of all rows */
	double rest_fraction; /* the share of all other values together, ... */
	double rest_distinct; /* ... their number, repetitions not counted, ... */
	int sample_count;	  /* ... and a sample of them */
	uint64 *sample;
	double rows; /* rows of the relation that are left after its own filters */
	Oid table;	 /* the column itself, if it is one */
	AttrNumber column;
};

/* How many pairs were seen at each distance. */
struct DistanceCounts
{
	int64 pairs[MAX_HAMMING_DISTANCE + 1];
};

/* Copies up to MAX_VALUES of a statistics slot's values, evenly spread or the first ones. */
static int
CopyValues(const AttStatsSlot *slot, bool spread, uint64 **values)
{
	int count = Min(slot->nvalues, MAX_VALUES);

	*values = (uint64 *) palloc(sizeof(uint64) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		int source = spread ? (int) ((int64) i * slot->nvalues / count) : i;

		(*values)[i] = DatumGetPhash64(slot->values[source]);
	}
	return count;
}

/* Tells whether a slot's values can be read as hashes; so can those of a bigint cast to phash64. */
static bool
HoldsHashes(const AttStatsSlot *slot)
{
	return get_typlen(slot->valuetype) == (int16) sizeof(uint64);
}

/* Reads what the catalog knows of a variable, as far as the user may make use of it. */
static HashStatistics
ReadStatistics(VariableStatData *variable, Oid function)
{
	HashStatistics statistics = {};
	bool is_default;
	double distinct = get_variable_numdistinct(variable, &is_default);
	AttStatsSlot slot;

	statistics.rest_fraction = 1.0;
	statistics.rows = variable->rel ? variable->rel->rows : 1.0;

	if (HeapTupleIsValid(variable->statsTuple))
	{
		Form_pg_statistic form = (Form_pg_statistic) GETSTRUCT(variable->statsTuple);

		statistics.table = form->starelid;
		statistics.column = form->staattnum;
		statistics.null_fraction = form->stanullfrac;
		statistics.rest_fraction -= statistics.null_fraction;

		if (statistic_proc_security_check(variable, function))
		{
			if (get_attstatsslot(&slot, variable->statsTuple, STATISTIC_KIND_MCV, InvalidOid,
								 ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
			{
				if (HoldsHashes(&slot) && slot.nnumbers == slot.nvalues)
				{
					statistics.common_count = CopyValues(&slot, false, &statistics.common);
					statistics.frequency =
						(double *) palloc(sizeof(double) * Max(statistics.common_count, 1));
					for (int i = 0; i < statistics.common_count; i++)
					{
						statistics.frequency[i] = slot.numbers[i];
						statistics.rest_fraction -= slot.numbers[i];
					}
				}
				free_attstatsslot(&slot);
			}
			if (get_attstatsslot(&slot, variable->statsTuple, STATISTIC_KIND_HISTOGRAM, InvalidOid,
								 ATTSTATSSLOT_VALUES))
			{
				if (HoldsHashes(&slot))
					statistics.sample_count = CopyValues(&slot, true, &statistics.sample);
				free_attstatsslot(&slot);
			}
		}
	}
	CLAMP_PROBABILITY(statistics.rest_fraction);
	statistics.rest_distinct = Max(distinct - statistics.common_count, 1.0);
	return statistics;
}

/* Counts the distances between all values of one list and all of another. */
static DistanceCounts
CountDistances(const uint64 *left, int left_count, const uint64 *right, int right_count)
{
	DistanceCounts counts = {};

	for (int i = 0; i < left_count; i++)
		for (int j = 0; j < right_count; j++)
			counts.pairs[HammingDistance(left[i], right[j])]++;
	return counts;
}

/* Returns P(Binomial(bits, p) <= limit), between whole numbers interpolated in its logarithm. */
static double
BinomialTail(int bits, double p, double limit)
{
	int below = (int) floor(limit);
	double term = pow(1.0 - p, bits);
	double sum = term;

	if (limit >= bits)
		return 1.0;
	for (int i = 0; i < below; i++)
	{
		term *= (bits - i) / (i + 1.0) * p / (1.0 - p);
		sum += term;
	}
	term *= (bits - below) / (below + 1.0) * p / (1.0 - p);
	return Min(sum * pow((sum + term) / sum, limit - below), 1.0);
}

/* Moments of the distances between unequal values; zero is another matter (duplicates). */
struct DistanceMoments
{
	int64 pairs;
	double mean;
	double variance;
};

/* Returns number, mean and variance of the distances above 0. */
static DistanceMoments
MeasureDistances(const DistanceCounts *counts)
{
	DistanceMoments moments = {};
	double sum = 0;
	double squares = 0;

	for (int distance = 1; distance <= MAX_HAMMING_DISTANCE; distance++)
	{
		double pairs = (double) counts->pairs[distance];

		moments.pairs += counts->pairs[distance];
		sum += pairs * distance;
		squares += pairs * distance * distance;
	}
	if (moments.pairs > 0)
	{
		moments.mean = sum / moments.pairs;
		moments.variance = squares / moments.pairs - moments.mean * moments.mean;
	}
	return moments;
}

/* Returns how many independent bits the values of two samples behave as if they had. */
static int
EffectiveBits(const HashStatistics *left, const HashStatistics *right)
{
	DistanceCounts counts =
		CountDistances(left->sample, left->sample_count, right->sample, right->sample_count);
	DistanceMoments moments = MeasureDistances(&counts);
	double p = moments.mean / MAX_HAMMING_DISTANCE;
	double bits;

	if (moments.pairs < MIN_PAIRS)
		return DHASH_EFFECTIVE_BITS;
	/* variance = (64 / bits)^2 * bits * p * (1 - p) */
	bits = rint(MAX_HAMMING_DISTANCE * MAX_HAMMING_DISTANCE * p * (1.0 - p) /
				Max(moments.variance, 1.0));
	return (int) Max(1.0, Min(bits, MAX_HAMMING_DISTANCE));
}

/* Returns the chance that two unequal values are near, from the distances counted in a sample. */
static double
NearFraction(const DistanceCounts *counts, int bits, int max_distance)
{
	DistanceMoments moments = MeasureDistances(counts);
	double p = 0.5;
	double seen = 0.0;
	double expected;

	/* A mean is settled by fewer values than a variance is. */
	if (moments.pairs >= 20)
		p = Max(0.01, Min(moments.mean / MAX_HAMMING_DISTANCE, 0.99));
	for (int distance = 1; distance <= max_distance; distance++)
		seen += (double) counts->pairs[distance];
	if (moments.pairs > 0)
		seen /= moments.pairs;
	expected = BinomialTail(bits, p, (double) max_distance * bits / MAX_HAMMING_DISTANCE);
	return Max(seen, expected);
}

/* Returns the chance that a given value and one of the other side's rest are unequal and near. */
static double
NearFractionOf(uint64 value, const HashStatistics *other, int bits, int max_distance)
{
	DistanceCounts counts = CountDistances(&value, 1, other->sample, other->sample_count);

	return NearFraction(&counts, bits, max_distance);
}

/* Returns the position of a value among the common ones, or -1. */
static int
FindCommon(const HashStatistics *statistics, uint64 value)
{
	for (int i = 0; i < statistics->common_count; i++)
		if (statistics->common[i] == value)
			return i;
	return -1;
}

/* Returns the share of rows whose common value is within max_distance of a given one. */
static double
CommonFractionWithin(const HashStatistics *statistics, uint64 value, int max_distance)
{
	double fraction = 0.0;

	for (int i = 0; i < statistics->common_count; i++)
		if (HammingDistance(statistics->common[i], value) <= max_distance)
			fraction += statistics->frequency[i];
	return fraction;
}

/* Returns the share of a column's rows that lie within max_distance of a known value. */
static double
RestrictionSelectivity(const HashStatistics *column, uint64 value, int max_distance)
{
	int bits = EffectiveBits(column, column);
	double equal = 0.0;

	if (FindCommon(column, value) < 0)
	{
		equal = column->rest_fraction / column->rest_distinct;
		if (column->common_count > 0)
			equal = Min(equal, column->frequency[column->common_count - 1]);
	}
	return CommonFractionWithin(column, value, max_distance) + equal +
		   column->rest_fraction * NearFractionOf(value, column, bits, max_distance);
}

/* Returns the chance that two values, neither of them common, are equal; see above. */
static double
EqualFraction(const HashStatistics *left, const HashStatistics *right)
{
	bool same_column =
		OidIsValid(left->table) && left->table == right->table && left->column == right->column;

	return (same_column ? 1.0 : 0.5) / Max(left->rest_distinct, right->rest_distinct);
}

/* Returns the share of pairs that join one side's common values with the other side's rest. */
static double
CommonWithRest(const HashStatistics *side, const HashStatistics *other, int bits, int max_distance)
{
	double selectivity = 0.0;

	for (int i = 0; i < side->common_count; i++)
	{
		double within = NearFractionOf(side->common[i], other, bits, max_distance);

		if (FindCommon(other, side->common[i]) < 0)
			within += EqualFraction(side, other);
		selectivity += side->frequency[i] * other->rest_fraction * within;
	}
	return selectivity;
}

/* Returns the share of all pairs of rows that lie within max_distance of each other. */
static double
JoinSelectivity(const HashStatistics *left, const HashStatistics *right, int max_distance)
{
	int bits = EffectiveBits(left, right);
	DistanceCounts counts =
		CountDistances(left->sample, left->sample_count, right->sample, right->sample_count);
	double rest = EqualFraction(left, right) + NearFraction(&counts, bits, max_distance);
	double selectivity = left->rest_fraction * right->rest_fraction * rest;

	for (int i = 0; i < left->common_count; i++)
		selectivity +=
			left->frequency[i] * CommonFractionWithin(right, left->common[i], max_distance);
	selectivity += CommonWithRest(left, right, bits, max_distance);
	selectivity += CommonWithRest(right, left, bits, max_distance);
	return selectivity;
}

/*
 * Returns the share of the outer side's rows that have at least one match: EXISTS and NOT EXISTS.
 * Near values are met by the chance of at least one among all rows of the inner side, equal ones by
 * the chance of at least one among its distinct values.
 */
static double
SemijoinSelectivity(const HashStatistics *outer, const HashStatistics *inner, int max_distance)
{
	int bits = EffectiveBits(outer, inner);
	DistanceCounts counts =
		CountDistances(outer->sample, outer->sample_count, inner->sample, inner->sample_count);
	double inner_rest_rows = inner->rows * inner->rest_fraction;
	double inner_distinct = Min(inner->rest_distinct, inner->rows);
	double equal = Min(1.0, inner_distinct * EqualFraction(outer, inner));
	double expected = inner_rest_rows * NearFraction(&counts, bits, max_distance);
	double selectivity;

	/* A common value of the inner side is one more to be near to, however often it is there. */
	for (int j = 0; j < inner->common_count; j++)
		expected += NearFractionOf(inner->common[j], outer, bits, max_distance);
	selectivity = outer->rest_fraction * (1.0 - (1.0 - equal) * exp(-expected));

	for (int i = 0; i < outer->common_count; i++)
	{
		uint64 value = outer->common[i];

		expected = inner_rest_rows * NearFractionOf(value, inner, bits, max_distance);
		if (CommonFractionWithin(inner, value, max_distance) > 0.0)
			selectivity += outer->frequency[i];
		else
			selectivity += outer->frequency[i] * (1.0 - (1.0 - equal) * exp(-expected));
	}
	return selectivity;
}

/* Gives a side of which nothing is known (a parameter, a CTE) the other side's values. */
static void
AssumeSameValues(HashStatistics *unknown, const HashStatistics *known)
{
	double rows = unknown->rows;

	*unknown = *known;
	unknown->rows = rows;
	unknown->table = InvalidOid;
}

/* Estimates the share of rows, or of pairs of rows, for which hamming_within is true. */
static double
EstimateSelectivity(SupportRequestSelectivity *request)
{
	PlannerInfo *root = request->root;
	Node *left = estimate_expression_value(root, (Node *) linitial(request->args));
	Node *right = estimate_expression_value(root, (Node *) lsecond(request->args));
	Node *limit = estimate_expression_value(root, (Node *) lthird(request->args));
	int max_distance = UNKNOWN_MAX_DISTANCE;
	bool reversed = false;
	VariableStatData left_variable;
	VariableStatData right_variable;
	HashStatistics left_statistics;
	HashStatistics right_statistics;
	double selectivity;

	/* The function is strict: a NULL argument is no match. */
	if ((IsA(left, Const) && ((Const *) left)->constisnull) ||
		(IsA(right, Const) && ((Const *) right)->constisnull) ||
		(IsA(limit, Const) && ((Const *) limit)->constisnull))
		return 0.0;
	if (IsA(limit, Const))
		max_distance =
			Max(0, Min(DatumGetInt32(((Const *) limit)->constvalue), MAX_HAMMING_DISTANCE));

	if (request->is_join)
		get_join_variables(root, list_make2(left, right), request->sjinfo, &left_variable,
						   &right_variable, &reversed);
	else
	{
		/* Relation 0: the other side of a parameterised scan keeps its own statistics. */
		examine_variable(root, left, 0, &left_variable);
		examine_variable(root, right, 0, &right_variable);
	}
	left_statistics = ReadStatistics(&left_variable, request->funcid);
	right_statistics = ReadStatistics(&right_variable, request->funcid);

	if (IsA(right, Const))
		selectivity = RestrictionSelectivity(
			&left_statistics, DatumGetPhash64(((Const *) right)->constvalue), max_distance);
	else if (IsA(left, Const))
		selectivity = RestrictionSelectivity(
			&right_statistics, DatumGetPhash64(((Const *) left)->constvalue), max_distance);
	else
	{
		if (!HeapTupleIsValid(left_variable.statsTuple))
			AssumeSameValues(&left_statistics, &right_statistics);
		else if (!HeapTupleIsValid(right_variable.statsTuple))
			AssumeSameValues(&right_statistics, &left_statistics);

		if (!request->is_join || (request->jointype != JOIN_SEMI && request->jointype != JOIN_ANTI))
			selectivity = JoinSelectivity(&left_statistics, &right_statistics, max_distance);
		else if (reversed)
			selectivity = SemijoinSelectivity(&right_statistics, &left_statistics, max_distance);
		else
			selectivity = SemijoinSelectivity(&left_statistics, &right_statistics, max_distance);
	}

	ReleaseVariableStats(left_variable);
	ReleaseVariableStats(right_variable);
	CLAMP_PROBABILITY(selectivity);
	return selectivity;
}

/* Returns a = b for hamming_within(a, b, 0), else NULL. */
static Node *
SimplifyToEquality(const FuncExpr *call)
{
	Node *left = (Node *) linitial(call->args);
	Node *right = (Node *) lsecond(call->args);
	Node *limit = (Node *) lthird(call->args);
	TypeCacheEntry *type;
	Expr *equality;

	if (!IsA(limit, Const) || ((Const *) limit)->constisnull ||
		DatumGetInt32(((Const *) limit)->constvalue) != 0)
		return NULL;

	type = lookup_type_cache(exprType(left), TYPECACHE_EQ_OPR);
	if (!OidIsValid(type->eq_opr))
		return NULL;
	equality = make_opclause(type->eq_opr, BOOLOID, false, (Expr *) left, (Expr *) right,
							 InvalidOid, InvalidOid);
	set_opfuncid((OpExpr *) equality);
	return (Node *) equality;
}

/* Answers the planner's questions about hamming_within. */
VAMHASH_FUNCTION(phash64_hamming_within_support)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);
	Node *answer = NULL;

	if (IsA(request, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *question = (SupportRequestSelectivity *) request;

		question->selectivity = EstimateSelectivity(question);
		answer = request;
	}
	else if (IsA(request, SupportRequestSimplify))
		answer = SimplifyToEquality(((SupportRequestSimplify *) request)->fcall);

	PG_RETURN_POINTER(answer);
}
