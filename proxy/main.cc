// remora: parses the command line, loads the bootstrap, serves.

#include "proxy/main/launch.h"

int main(int argc, char** argv) { return remora::proxy::Launch(argc, argv); }
