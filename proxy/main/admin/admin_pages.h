#ifndef REMORA_PROXY_MAIN_ADMIN_ADMIN_PAGES_H_
#define REMORA_PROXY_MAIN_ADMIN_ADMIN_PAGES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proxy/main/admin/admin_state.h"
#include "proxy/main/admin/stat_tags.h"
#include "proxy/main/admin/stats_page.h"

namespace remora::proxy {

struct AdminRequest {
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  std::string method;
  std::string path;  // without the query
  Parameters query;  // decoded; of a form's body when the target has none

  // Null when the query does not hold it.
  const std::string* Find(absl::string_view name) const;
  bool Has(absl::string_view name) const { return Find(name) != nullptr; }

  // From the request line: `target` is a path with or without a query.
  static AdminRequest Make(absl::string_view method, absl::string_view target);
  // "a=1&b=%20" as pairs; a plus stands for itself, as in Envoy.
  static Parameters ParseParameters(absl::string_view text);
};

inline constexpr char kAdminText[] = "text/plain; charset=UTF-8";
inline constexpr char kAdminPlain[] = "text/plain";
inline constexpr char kAdminHtml[] = "text/html; charset=UTF-8";
inline constexpr char kAdminJson[] = "application/json";

struct AdminResponse {
  int status = 200;
  std::string content_type = kAdminText;
  std::string body;
};

class AdminPages;

// One parameter of a page, for /help and the forms of the home page.
struct AdminParameter {
  enum class Kind { kText, kFlag, kChoice };
  absl::string_view name;
  Kind kind = Kind::kText;
  absl::string_view help;
  absl::string_view choices = "";  // kChoice: "text, json"
};

// One row of the table of pages.
struct AdminPage {
  absl::string_view path;
  absl::string_view help;
  bool mutates;  // POST only
  AdminResponse (*answer)(AdminPages& pages, const AdminRequest& request);
  absl::Span<const AdminParameter> parameters;
};

// The admin interface without its server: request in, response out, as Envoy's answers byte for
// byte where Envoy's are determined. To add a page: a handler in the file of its group (or a new
// one), a declaration in page_handlers.h, a row in admin_pages.cc.
//
// Threads: main.
class AdminPages {
 public:
  explicit AdminPages(AdminState* state);

  AdminResponse Answer(const AdminRequest& request);
  // Every bootstrap flush interval: what histograms took in since the last call becomes the
  // interval that /stats shows. Does nothing while nobody looks.
  void Flush();

  AdminState& state() { return *state_; }
  const TagExtractor& tags() const { return tags_; }
  // What /stats shows; asking starts the keeping of intervals.
  const IntervalSums& intervals();
  // Whether the first interval is over: what histograms hold is shown from then on.
  bool flushed() const { return flushed_; }

  // Whether somebody asked for look-ups of names to be noted. There are none to note: names are
  // rendered for a scrape alone.
  bool notes_lookups = false;

  // The table, sorted by path.
  static absl::Span<const AdminPage> Table();

 private:
  // Flushes without a look at the intervals after which they are no longer kept.
  static constexpr int kFlushesUnseen = 24;

  AdminState* state_;
  TagExtractor tags_;
  IntervalSums intervals_;
  IntervalSums totals_;  // at the last flush
  // Flushes to go until intervals are kept no longer; the first ones are kept for whoever comes.
  int watched_ = kFlushesUnseen;
  bool flushed_ = false;
};

// The list of pages as text, for /help and unknown paths.
std::string AdminHelp();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_ADMIN_PAGES_H_
