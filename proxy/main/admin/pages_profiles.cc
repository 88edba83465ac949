// Memory and profiles.

#include <malloc.h>
#include <unistd.h>

#include <fstream>

#include "envoy/admin/v3/memory.pb.h"
#include "proxy/main/admin/page_handlers.h"
#include "xds/config_dump.h"

namespace remora::proxy {
namespace {

AdminResponse NotInThisBuild(const char* what) {
  AdminResponse response;
  response.status = 501;
  response.body = std::string("The current build does not support ") + what;
  return response;
}

}  // namespace

AdminResponse AllocationProfilerPage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  return NotInThisBuild("allocation profiler");
}

AdminResponse HeapProfilerPage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  return NotInThisBuild("heap profiler");
}

AdminResponse HeapDumpPage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  return NotInThisBuild("heap dump");
}

AdminResponse CpuProfilerPage(AdminPages& /*pages*/, const AdminRequest& request) {
  const std::string* enable = request.Find("enable");
  AdminResponse response;
  if (enable == nullptr || (*enable != "y" && *enable != "n")) {
    response.status = 400;
    response.body = "?enable=<y|n>\n";
    return response;
  }
  if (*enable == "n") {
    response.body = "OK\n";
    return response;
  }
  response.status = 500;
  response.body = "failure to start the profiler";
  return response;
}

AdminResponse ContentionPage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  AdminResponse response;
  response.body = "Mutex contention tracing is not enabled. There is no mutex on the data path.\n";
  return response;
}

AdminResponse MemoryPage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  const struct mallinfo2 heap = mallinfo2();
  uint64_t pages = 0;
  uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  envoy::admin::v3::Memory memory;
  memory.set_allocated(heap.uordblks + heap.hblkhd);
  memory.set_heap_size(heap.arena + heap.hblkhd);
  memory.set_pageheap_free(heap.fordblks);
  memory.set_total_thread_cache(heap.fsmblks);
  memory.set_total_physical_bytes(resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  AdminResponse response;
  response.content_type = kAdminJson;
  response.body = xds::ToJson(memory, /*always_print_primitives=*/true);
  return response;
}

}  // namespace remora::proxy
