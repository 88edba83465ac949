// Statistics; see stats_page.h for how they are written.

#include <utility>

#include "proxy/main/admin/page_handlers.h"

namespace remora::proxy {
namespace {

AdminResponse Render(AdminPages& pages, const StatsQuery& query) {
  AdminResponse response;
  pages.state().RefreshGauges();
  absl::StatusOr<std::string> page = RenderStats(
      pages.state().stats(), query,
      {pages.tags(), pages.state().bootstrap().stats, pages.intervals(), pages.flushed()});
  if (!page.ok()) {
    response.status = 400;
    response.body = std::string(page.status().message());
    return response;
  }
  if (query.format == StatsQuery::Format::kJson) response.content_type = kAdminJson;
  if (query.format == StatsQuery::Format::kHtml) response.content_type = kAdminHtml;
  response.body = *std::move(page);
  return response;
}

AdminResponse Answer(AdminPages& pages, const AdminRequest& request, bool prometheus) {
  absl::StatusOr<StatsQuery> query = StatsQuery::Parse(request.query, prometheus);
  if (!query.ok()) {
    AdminResponse response;
    response.status = 400;
    response.body = std::string(query.status().message());
    return response;
  }
  return Render(pages, *query);
}

}  // namespace

AdminResponse StatsPage(AdminPages& pages, const AdminRequest& request) {
  return Answer(pages, request, false);
}

AdminResponse PrometheusPage(AdminPages& pages, const AdminRequest& request) {
  return Answer(pages, request, true);
}

AdminResponse RecentLookupsPage(AdminPages& pages, const AdminRequest& /*request*/) {
  AdminResponse response;
  response.body =
      pages.notes_lookups
          ? "   Count Lookup\n"
          : "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n";
  response.body += "\ntotal: 0\n";
  return response;
}

AdminResponse RecentLookupsClearPage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  AdminResponse response;
  response.body = "OK\n";
  return response;
}

AdminResponse RecentLookupsDisablePage(AdminPages& pages, const AdminRequest& request) {
  pages.notes_lookups = false;
  return RecentLookupsClearPage(pages, request);
}

AdminResponse RecentLookupsEnablePage(AdminPages& pages, const AdminRequest& request) {
  pages.notes_lookups = true;
  return RecentLookupsClearPage(pages, request);
}

AdminResponse ResetCountersPage(AdminPages& pages, const AdminRequest& /*request*/) {
  pages.state().stats().ResetCounters();
  AdminResponse response;
  response.body = "OK\n";
  return response;
}

}  // namespace remora::proxy
