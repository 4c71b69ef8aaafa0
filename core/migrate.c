#include "postgres.h"
#include "core/migrate.h"
