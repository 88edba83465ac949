#ifndef REMORA_PROXY_MAIN_ADMIN_PAGE_HANDLERS_H_
#define REMORA_PROXY_MAIN_ADMIN_PAGE_HANDLERS_H_

#include "proxy/main/admin/admin_pages.h"

namespace remora::proxy {

// The handlers behind the table of admin_pages.cc, by the file that holds them. Threads: main.

// home_page.cc
AdminResponse HomePage(AdminPages& pages, const AdminRequest& request);

// pages_clusters.cc
AdminResponse ClustersPage(AdminPages& pages, const AdminRequest& request);

// pages_config.cc
AdminResponse ConfigDumpPage(AdminPages& pages, const AdminRequest& request);
AdminResponse InitDumpPage(AdminPages& pages, const AdminRequest& request);
AdminResponse ListenersPage(AdminPages& pages, const AdminRequest& request);
AdminResponse CertsPage(AdminPages& pages, const AdminRequest& request);

// pages_logging.cc
AdminResponse LoggingPage(AdminPages& pages, const AdminRequest& request);
AdminResponse ReopenLogsPage(AdminPages& pages, const AdminRequest& request);

// pages_profiles.cc
AdminResponse AllocationProfilerPage(AdminPages& pages, const AdminRequest& request);
AdminResponse ContentionPage(AdminPages& pages, const AdminRequest& request);
AdminResponse CpuProfilerPage(AdminPages& pages, const AdminRequest& request);
AdminResponse HeapDumpPage(AdminPages& pages, const AdminRequest& request);
AdminResponse HeapProfilerPage(AdminPages& pages, const AdminRequest& request);
AdminResponse MemoryPage(AdminPages& pages, const AdminRequest& request);

// pages_runtime.cc
AdminResponse RuntimePage(AdminPages& pages, const AdminRequest& request);
AdminResponse RuntimeModifyPage(AdminPages& pages, const AdminRequest& request);

// pages_server.cc
AdminResponse HelpPage(AdminPages& pages, const AdminRequest& request);
AdminResponse ReadyPage(AdminPages& pages, const AdminRequest& request);
AdminResponse ServerInfoPage(AdminPages& pages, const AdminRequest& request);
AdminResponse HotRestartVersionPage(AdminPages& pages, const AdminRequest& request);
AdminResponse HealthCheckFailPage(AdminPages& pages, const AdminRequest& request);
AdminResponse HealthCheckOkPage(AdminPages& pages, const AdminRequest& request);
AdminResponse DrainListenersPage(AdminPages& pages, const AdminRequest& request);
AdminResponse QuitPage(AdminPages& pages, const AdminRequest& request);

// pages_stats.cc
AdminResponse StatsPage(AdminPages& pages, const AdminRequest& request);
AdminResponse PrometheusPage(AdminPages& pages, const AdminRequest& request);
AdminResponse RecentLookupsPage(AdminPages& pages, const AdminRequest& request);
AdminResponse RecentLookupsClearPage(AdminPages& pages, const AdminRequest& request);
AdminResponse RecentLookupsDisablePage(AdminPages& pages, const AdminRequest& request);
AdminResponse RecentLookupsEnablePage(AdminPages& pages, const AdminRequest& request);
AdminResponse ResetCountersPage(AdminPages& pages, const AdminRequest& request);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_PAGE_HANDLERS_H_
