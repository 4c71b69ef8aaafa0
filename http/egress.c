#include "postgres.h"
#include "http/egress.h"
void iu_egress_define_settings(void) {}
