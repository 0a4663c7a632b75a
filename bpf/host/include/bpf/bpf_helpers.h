#include "../../bpf_host.h"
