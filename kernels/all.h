// All kernels.
#include "language.h"

#include "search.h"

#include "join.h"

#include "image_pass.h"

#include "image_resample.h"

#include "dct_cosines.h"

#include "image_bits.h"

#include "jpeg_picture.h"

#include "jpeg_blocks.h"

#include "jpeg_grey.h"
