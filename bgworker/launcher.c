#include "postgres.h"
#include "bgworker/launcher.h"
void iu_launcher_register(void) {}
