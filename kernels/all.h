// All kernels.
#include "language.h"

#include "search.h"

#include "join.h"

#include "image_pass.h"

#include "image_resample.h"
