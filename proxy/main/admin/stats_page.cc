#include "proxy/main/admin/stats_page.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "proxy/main/admin/histogram_math.h"
#include "proxy/main/admin/stats_selection.h"

namespace remora::proxy {
namespace {

using Distribution = StatsSelection::Distribution;
using Number = StatsSelection::Number;

template <typename T>
void SortByName(std::vector<T>& list) {
  std::sort(list.begin(), list.end(), [](const T& a, const T& b) { return a.name < b.name; });
}

// Whether a statistic is there at all (stats_config.stats_matcher) and asked for.
class Gate {
 public:
  Gate(const StatsQuery& query, const xds::StatsConfig& config) : query_(query), config_(config) {
    if (!query.filter.empty()) regex_ = std::make_unique<re2::RE2>(query.filter, re2::RE2::Quiet);
  }
  bool ok() const { return regex_ == nullptr || regex_->ok(); }
  const std::string& error() const { return regex_->error(); }
  bool Wants(StatsQuery::Type type) const {
    return !config_.reject_all && (query_.type == StatsQuery::Type::kAll || query_.type == type);
  }
  bool Passes(const std::string& name, bool used) const {
    if (query_.nothing || (query_.used_only && !used)) return false;
    if (regex_ != nullptr && re2::RE2::PartialMatch(name, *regex_) == query_.invert_filter)
      return false;
    const auto matches = [&](const auto& matcher) { return matcher.Match(name); };
    if (!config_.inclusion.empty()) {
      return std::any_of(config_.inclusion.begin(), config_.inclusion.end(), matches);
    }
    return std::none_of(config_.exclusion.begin(), config_.exclusion.end(), matches);
  }

 private:
  const StatsQuery& query_;
  const xds::StatsConfig& config_;
  std::unique_ptr<re2::RE2> regex_;
};

absl::Span<const double> BoundsOf(const std::string& name, const xds::StatsConfig& config) {
  for (const auto& buckets : config.histogram_buckets) {
    if (buckets.match.Match(name)) return buckets.bounds;
  }
  return kBounds;
}

StatsSelection Select(const StatStore& store, const Gate& gate, const StatsContext& context) {
  static const Histogram::Sum nothing;
  StatsSelection out;
  StatStore::Visitor visitor;
  if (gate.Wants(StatsQuery::Type::kCounters)) {
    visitor.counter = [&](const std::string& name, uint64_t value, bool used) {
      if (gate.Passes(name, used)) out.counters.push_back({name, value});
    };
  }
  if (gate.Wants(StatsQuery::Type::kGauges)) {
    visitor.gauge = [&](const std::string& name, uint64_t value, bool used) {
      if (gate.Passes(name, used)) out.gauges.push_back({name, value});
    };
  }
  if (gate.Wants(StatsQuery::Type::kHistograms)) {
    visitor.histogram = [&](const std::string& name, const Histogram::Sum& now) {
      const Histogram::Sum& sum = context.flushed ? now : nothing;
      if (!gate.Passes(name, sum.count > 0)) return;
      const auto interval = context.intervals.find(name);
      out.histograms.push_back({name, sum,
                                interval == context.intervals.end() ? nullptr : &interval->second,
                                BoundsOf(name, context.config)});
    };
  }
  if (gate.Wants(StatsQuery::Type::kTextReadouts)) {
    visitor.text = [&](const std::string& name, const std::string& value) {
      if (gate.Passes(name, true)) out.texts.push_back({name, value});
    };
  }
  store.Visit(visitor);
  SortByName(out.counters);
  SortByName(out.gauges);
  SortByName(out.histograms);
  SortByName(out.texts);
  return out;
}

std::string Shown(double value) { return std::isnan(value) ? "nan" : fmt::format("{}", value); }

std::string SummaryLine(const Distribution& histogram) {
  const std::vector<double> all = Quantiles(histogram.sum);
  const std::vector<double> recent = histogram.interval == nullptr
                                         ? std::vector<double>(all.size(), std::nan(""))
                                         : Quantiles(*histogram.interval);
  std::vector<std::string> parts;
  for (size_t i = 0; i < all.size(); ++i) {
    parts.push_back(absl::StrCat("P", fmt::format("{}", kQuantiles[i] * 100), "(", Shown(recent[i]),
                                 ",", Shown(all[i]), ")"));
  }
  return absl::StrJoin(parts, " ");
}

std::string BoundLine(const Distribution& histogram, bool disjoint) {
  const std::vector<uint64_t> all = BoundCounts(histogram.sum, histogram.bounds, disjoint);
  const std::vector<uint64_t> recent =
      histogram.interval == nullptr ? std::vector<uint64_t>(all.size(), 0)
                                    : BoundCounts(*histogram.interval, histogram.bounds, disjoint);
  std::vector<std::string> parts;
  for (size_t i = 0; i < all.size(); ++i) {
    parts.push_back(fmt::format("B{:g}({},{})", histogram.bounds[i], recent[i], all[i]));
  }
  return absl::StrJoin(parts, " ");
}

// "start,width:count" of each bucket that holds something.
std::string BucketList(const Histogram::Sum& sum) {
  std::vector<std::string> parts;
  if (sum.zeros > 0) parts.push_back(absl::StrCat("0,0:", sum.zeros));
  for (size_t i = 0; i < sum.buckets.size(); ++i) {
    if (sum.buckets[i] == 0) continue;
    const int index = static_cast<int>(i);
    parts.push_back(fmt::format("{:g},{:g}:{}", Histogram::BucketStart(index),
                                Histogram::BucketWidth(index), sum.buckets[i]));
  }
  return absl::StrJoin(parts, ", ");
}

void AppendHistogram(const Distribution& histogram, StatsQuery::Buckets buckets, std::string* out) {
  if (histogram.sum.count == 0) {
    absl::StrAppend(out, histogram.name, ": No recorded values\n");
    return;
  }
  switch (buckets) {
    case StatsQuery::Buckets::kSummary:
      absl::StrAppend(out, histogram.name, ": ", SummaryLine(histogram), "\n");
      return;
    case StatsQuery::Buckets::kCumulative:
    case StatsQuery::Buckets::kDisjoint:
      absl::StrAppend(out, histogram.name, ": ",
                      BoundLine(histogram, buckets == StatsQuery::Buckets::kDisjoint), "\n");
      return;
    case StatsQuery::Buckets::kDetailed:
      break;
  }
  absl::StrAppend(out, histogram.name, ":\n  totals=", BucketList(histogram.sum), "\n  intervals=",
                  histogram.interval == nullptr ? "" : BucketList(*histogram.interval),
                  "\n  summary=", SummaryLine(histogram), "\n");
}

std::string RenderText(const StatsSelection& selection, StatsQuery::Buckets buckets) {
  std::string out;
  for (const auto& text : selection.texts)
    absl::StrAppend(&out, text.name, ": \"", text.value, "\"\n");
  for (const Number& number : selection.Numbers())
    absl::StrAppend(&out, number.name, ": ", number.value, "\n");
  for (const Distribution& histogram : selection.histograms)
    AppendHistogram(histogram, buckets, &out);
  return out;
}

std::string RenderHtml(const std::string& text) {
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang='en'>\n<head><meta charset='utf-8'><title>Remora "
      "statistics</title>"
      "<style>:root { color-scheme: light dark }</style></head>\n<body><pre>\n",
      absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}}),
      "</pre></body>\n</html>\n");
}

template <typename T>
using Names = std::pair<absl::string_view, T>;

template <typename T, size_t n>
const Names<T>* FindName(const Names<T> (&names)[n], const std::string& name) {
  const auto* found = std::find_if(std::begin(names), std::end(names),
                                   [&](const auto& row) { return row.first == name; });
  return found == std::end(names) ? nullptr : found;
}

absl::Status SetParameter(const std::string& name, const std::string& value, StatsQuery* query) {
  static constexpr Names<StatsQuery::Format> kFormats[] = {
      {"html", StatsQuery::Format::kHtml},
      {"active-html", StatsQuery::Format::kHtml},
      {"json", StatsQuery::Format::kJson},
      {"prometheus", StatsQuery::Format::kPrometheus},
      {"text", StatsQuery::Format::kText}};
  static constexpr Names<StatsQuery::Type> kTypes[] = {
      {"All", StatsQuery::Type::kAll},
      {"Counters", StatsQuery::Type::kCounters},
      {"Gauges", StatsQuery::Type::kGauges},
      {"Histograms", StatsQuery::Type::kHistograms},
      {"TextReadouts", StatsQuery::Type::kTextReadouts}};
  static constexpr Names<StatsQuery::Buckets> kModes[] = {
      {"summary", StatsQuery::Buckets::kSummary},
      {"cumulative", StatsQuery::Buckets::kCumulative},
      {"disjoint", StatsQuery::Buckets::kDisjoint},
      {"detailed", StatsQuery::Buckets::kDetailed}};
  if (name == "usedonly") query->used_only = true;
  if (name == "text_readouts") query->text_readouts = true;
  if (name == "invert_filter") query->invert_filter = true;
  if (name == "filter") query->filter = value;
  if (name == "format") {
    const auto* format = FindName(kFormats, value);
    if (format == nullptr) {
      return absl::InvalidArgumentError(
          "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n");
    }
    query->format = format->second;
  }
  if (name == "type") {
    const auto* type = FindName(kTypes, value);
    if (type == nullptr) return absl::InvalidArgumentError("invalid &type= param");
    query->type = type->second;
  }
  if (name == "hidden" && value != "include" && value != "only" && value != "exclude") {
    return absl::InvalidArgumentError("usage: /stats?hidden=(include|only|exclude)\n\n");
  }
  // No statistic is hidden.
  if (name == "hidden" && value == "only") query->nothing = true;
  if (name == "histogram_buckets") {
    const auto* mode = FindName(kModes, value);
    if (mode == nullptr) {
      return absl::InvalidArgumentError(
          "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|"
          "prometheusnative)\n");
    }
    query->buckets = mode->second;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<StatsSelection::Number> StatsSelection::Numbers() const {
  std::vector<Number> all;
  all.reserve(counters.size() + gauges.size());
  std::merge(counters.begin(), counters.end(), gauges.begin(), gauges.end(),
             std::back_inserter(all),
             [](const Number& a, const Number& b) { return a.name < b.name; });
  return all;
}

std::vector<uint64_t> BoundCounts(const Histogram::Sum& sum, absl::Span<const double> bounds,
                                  bool disjoint) {
  std::vector<uint64_t> counts;
  uint64_t before = 0;
  for (double bound : bounds) {
    const uint64_t below = CountBelow(sum, bound);
    counts.push_back(disjoint ? below - before : below);
    before = below;
  }
  return counts;
}

absl::StatusOr<StatsQuery> StatsQuery::Parse(
    const std::vector<std::pair<std::string, std::string>>& parameters, bool prometheus) {
  StatsQuery query;
  bool mode_given = false;
  for (const auto& [name, value] : parameters) {
    if (prometheus && (name == "format" || name == "type")) continue;
    const absl::Status status = SetParameter(name, value, &query);
    if (!status.ok()) return status;
    mode_given = mode_given || name == "histogram_buckets";
  }
  if (prometheus) query.format = Format::kPrometheus;
  if (query.format != Format::kPrometheus) return query;
  if (!mode_given) query.buckets = Buckets::kCumulative;
  if (query.buckets != Buckets::kCumulative && query.buckets != Buckets::kSummary) {
    return absl::InvalidArgumentError("unsupported prometheus histogram bucket mode");
  }
  return query;
}

absl::StatusOr<std::string> RenderStats(const StatStore& store, const StatsQuery& query,
                                        const StatsContext& context) {
  const Gate gate(query, context.config);
  if (!gate.ok())
    return absl::InvalidArgumentError(absl::StrCat("Invalid re2 regex: ", gate.error()));
  const StatsSelection selection = Select(store, gate, context);
  switch (query.format) {
    case StatsQuery::Format::kJson:
      return RenderStatsJson(selection, query.buckets);
    case StatsQuery::Format::kPrometheus:
      return RenderStatsPrometheus(selection, query, context.tags);
    case StatsQuery::Format::kHtml:
      return RenderHtml(RenderText(selection, query.buckets));
    case StatsQuery::Format::kText:
      break;
  }
  return RenderText(selection, query.buckets);
}

}  // namespace remora::proxy
