// Statistics as JSON, written as it goes: a document of values would be many times its text.

#include <fmt/format.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "proxy/main/admin/histogram_math.h"
#include "proxy/main/admin/stats_selection.h"

namespace remora::proxy {
namespace {

using Distribution = StatsSelection::Distribution;

std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Shown(double value) {
  return std::isnan(value) ? "null" : fmt::format("{:.15g}", value);
}

// Joins pieces by commas.
class List {
 public:
  explicit List(std::string* out) : out_(out) {}
  void Next() {
    if (!first_) *out_ += ',';
    first_ = false;
  }

 private:
  std::string* out_;
  bool first_ = true;
};

void AppendQuantiles(const Distribution& histogram, absl::string_view key, std::string* out) {
  const std::vector<double> none(std::size(kQuantiles), std::nan(""));
  const std::vector<double> all = histogram.sum.count > 0 ? Quantiles(histogram.sum) : none;
  const std::vector<double> recent =
      histogram.interval != nullptr ? Quantiles(*histogram.interval) : none;
  absl::StrAppend(out, "\"", key, "\":[");
  List list(out);
  for (size_t i = 0; i < all.size(); ++i) {
    list.Next();
    absl::StrAppend(out, "{\"cumulative\":", Shown(all[i]), ",\"interval\":", Shown(recent[i]),
                    "}");
  }
  *out += ']';
}

void AppendBounds(const Distribution& histogram, bool disjoint, std::string* out) {
  const std::vector<uint64_t> all = BoundCounts(histogram.sum, histogram.bounds, disjoint);
  const std::vector<uint64_t> recent =
      histogram.interval == nullptr ? std::vector<uint64_t>(all.size(), 0)
                                    : BoundCounts(*histogram.interval, histogram.bounds, disjoint);
  *out += "\"buckets\":[";
  List list(out);
  for (size_t i = 0; i < all.size(); ++i) {
    list.Next();
    absl::StrAppend(out, "{\"upper_bound\":", Shown(histogram.bounds[i]),
                    ",\"interval\":", recent[i], ",\"cumulative\":", all[i], "}");
  }
  *out += ']';
}

void AppendBuckets(const Histogram::Sum* sum, absl::string_view key, std::string* out) {
  absl::StrAppend(out, "\"", key, "\":[");
  List list(out);
  const auto add = [&](double start, double width, uint64_t count) {
    list.Next();
    absl::StrAppend(out, "{\"lower_bound\":", Shown(start), ",\"width\":", Shown(width),
                    ",\"count\":", count, "}");
  };
  if (sum != nullptr && sum->zeros > 0) add(0, 0, sum->zeros);
  for (size_t i = 0; sum != nullptr && i < sum->buckets.size(); ++i) {
    const int index = static_cast<int>(i);
    if (sum->buckets[i] > 0)
      add(Histogram::BucketStart(index), Histogram::BucketWidth(index), sum->buckets[i]);
  }
  *out += ']';
}

template <typename Fn>
void AppendEach(const std::vector<Distribution>& histograms, std::string* out, const Fn& details) {
  List list(out);
  for (const Distribution& histogram : histograms) {
    list.Next();
    absl::StrAppend(out, "{\"name\":", Quoted(histogram.name), ",");
    details(histogram);
    *out += '}';
  }
}

void AppendHistograms(const std::vector<Distribution>& histograms, StatsQuery::Buckets buckets,
                      std::string* out) {
  *out += "{\"histograms\":";
  switch (buckets) {
    case StatsQuery::Buckets::kSummary:
      *out +=
          "{\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100],\"computed_quantiles\":[";
      AppendEach(histograms, out,
                 [&](const Distribution& histogram) { AppendQuantiles(histogram, "values", out); });
      *out += "]}}";
      return;
    case StatsQuery::Buckets::kDetailed:
      *out += "{\"supported_percentiles\":[0,25,50,75,90,95,99,99.5,99.9,100],\"details\":[";
      AppendEach(histograms, out, [&](const Distribution& histogram) {
        AppendBuckets(&histogram.sum, "totals", out);
        *out += ',';
        AppendBuckets(histogram.interval, "intervals", out);
        *out += ',';
        AppendQuantiles(histogram, "percentiles", out);
      });
      *out += "]}}";
      return;
    case StatsQuery::Buckets::kCumulative:
    case StatsQuery::Buckets::kDisjoint:
      break;
  }
  *out += '[';
  AppendEach(histograms, out, [&](const Distribution& histogram) {
    AppendBounds(histogram, buckets == StatsQuery::Buckets::kDisjoint, out);
  });
  *out += "]}";
}

}  // namespace

std::string RenderStatsJson(const StatsSelection& selection, StatsQuery::Buckets buckets) {
  std::string out = "{\"stats\":[";
  List list(&out);
  for (const auto& text : selection.texts) {
    list.Next();
    absl::StrAppend(&out, "{\"name\":", Quoted(text.name), ",\"value\":", Quoted(text.value), "}");
  }
  for (const auto& number : selection.Numbers()) {
    list.Next();
    absl::StrAppend(&out, "{\"name\":", Quoted(number.name), ",\"value\":", number.value, "}");
  }
  if (!selection.histograms.empty()) {
    list.Next();
    AppendHistograms(selection.histograms, buckets, &out);
  }
  return out + "]}";
}

}  // namespace remora::proxy
