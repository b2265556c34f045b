// The functions that every chat template sees: range, dict, namespace, cycler, joiner,
// raise_exception and strftime_now.
#include <array>
#include <ctime>
#include <map>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"

namespace mica::jinja {
namespace {

constexpr Int kMaxRange = 100000;  // as in jinja2's sandbox

Value make_range(Interpreter&, const Arguments& arguments) {
  Bound bound = bind("range", arguments, {"", "", ""}, 1);
  auto range = std::make_shared<RangeObject>();
  range->start = bound.has(1) ? require_int(bound[0]) : 0;
  range->stop = bound.has(1) ? require_int(bound[1]) : require_int(bound[0]);
  range->step = bound.integer(2, 1);
  if (range->step == 0) raise(ErrorType::kValue, "range() arg 3 must not be zero");
  if (range->size() > kMaxRange) {
    raise(ErrorType::kOverflow, "Range too big. The sandbox blocks ranges larger than {}.", 100000);
  }
  return Value::object(Kind::kRange, range);
}

std::vector<DictObject::Entry> dict_entries(Interpreter& interpreter, const Arguments& arguments) {
  std::vector<DictObject::Entry> entries;
  if (arguments.positional.size() > 1) {
    raise(ErrorType::kType, "dict expected at most 1 argument, got {}",
          arguments.positional.size());
  }
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      entries = source.dict_object().entries();
    } else {
      for (const Value& item : to_vector(interpreter, source)) {
        std::vector<Value> pair = to_vector(interpreter, item);
        if (pair.size() != 2) {
          raise(ErrorType::kValue,
                "dictionary update sequence element has length {}; 2 is required", pair.size());
        }
        entries.emplace_back(pair[0], pair[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named)
    entries.emplace_back(Value::string(name), value);
  return entries;
}

Value make_dict(Interpreter& interpreter, const Arguments& arguments) {
  return Value::dict(std::make_shared<DictObject>(dict_entries(interpreter, arguments)));
}

Value make_namespace(Interpreter& interpreter, const Arguments& arguments) {
  auto space = std::make_shared<NamespaceObject>();
  for (auto& [key, value] : dict_entries(interpreter, arguments)) {
    if (!key.is_string()) continue;  // no template can read it
    if (key.text().starts_with('_')) {
      raise(ErrorType::kSecurity, "namespaces can't store '{}'", key.text());
    }
    if (Value* existing = space->find(key.text())) {
      *existing = value;
    } else {
      space->attributes.emplace_back(key.text(), value);
    }
  }
  interpreter.keep(space);
  interpreter.charge_steps(100);
  return Value::object(Kind::kNamespace, space);
}

Value raise_exception(Interpreter&, const Arguments& arguments) {
  Bound bound = bind("raise_exception", arguments, {"message"}, 1);
  raise(ErrorType::kRaised, to_str(bound[0]));
}

Value strftime_now(Interpreter& interpreter, const Arguments& arguments) {
  Bound bound = bind("strftime_now", arguments, {"format"}, 1);
  ClockTime now = interpreter.now();
  return Value::string(strftime(require_string(bound[0]), now.unix_seconds, now.microseconds));
}

class Cycler : public CallableObject, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(const std::vector<Value>& items) : items_(Value::list(items)) {
    depth = items_.depth();
  }
  Value call(Interpreter&, Arguments&) override {
    raise(ErrorType::kType, "'Cycler' object is not callable");
  }
  bool callable() const override { return false; }
  std::string repr() const override { return "<Cycler>"; }

  bool attribute(Interpreter&, const std::string& name, Value& out) override {
    if (name == "items") {
      out = Value::tuple(items_.items());
    } else if (name == "pos") {
      out = Value::integer(static_cast<Int>(position_));
    } else if (name == "current") {
      out = items_.items()[position_];
    } else if (name == "next" || name == "reset") {
      out = Value::object(Kind::kObject,
                          std::make_shared<Method>(shared_from_this(), name == "next"));
    } else {
      return false;
    }
    return true;
  }

 private:
  struct Method : CallableObject {
    Method(std::shared_ptr<Cycler> o, bool n) : owner(std::move(o)), is_next(n) {
      depth = owner->depth;
    }
    Value call(Interpreter&, Arguments& arguments) override {
      bind("next", arguments, {}, 0);
      const auto& items = owner->items_.items();
      size_t position = owner->position_;
      owner->position_ = is_next ? (position + 1) % items.size() : 0;
      return is_next ? items[position] : Value();
    }
    std::string repr() const override { return "<bound method of Cycler>"; }
    std::shared_ptr<Cycler> owner;
    bool is_next;
  };
  Value items_;
  size_t position_ = 0;
};

class Joiner : public CallableObject {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {
    depth = separator_.depth();
  }
  Value call(Interpreter&, Arguments& arguments) override {
    bind("joiner", arguments, {}, 0);
    bool first = !used_;
    used_ = true;
    return first ? Value::string("") : separator_;
  }
  bool attribute(Interpreter&, const std::string& name, Value& out) override {
    if (name == "sep") out = separator_;
    if (name == "used") out = Value::boolean(used_);
    return name == "sep" || name == "used";
  }
  std::string repr() const override { return "<Joiner>"; }

 private:
  Value separator_;
  bool used_ = false;
};

Value make_cycler(Interpreter&, const Arguments& arguments) {
  if (!arguments.named.empty()) raise(ErrorType::kType, "cycler() takes no keyword arguments");
  if (arguments.positional.empty()) {
    raise(ErrorType::kRuntime, "at least one item has to be provided");
  }
  return Value::object(Kind::kObject, std::make_shared<Cycler>(arguments.positional));
}

Value make_joiner(Interpreter&, const Arguments& arguments) {
  Bound bound = bind("joiner", arguments, {"sep"}, 0);
  return Value::object(Kind::kObject,
                       std::make_shared<Joiner>(bound.has(0) ? bound[0] : Value::string(", ")));
}

// `dict`: called, or dict.fromkeys.
class DictFunction : public FunctionObject {
 public:
  DictFunction() : FunctionObject("dict", make_dict) {}
  bool attribute(Interpreter&, const std::string& name, Value& out) override {
    if (name != "fromkeys") return false;
    out =
        Value::object(Kind::kObject, std::make_shared<FunctionObject>("fromkeys", dict_from_keys));
    return true;
  }
};

}  // namespace

const Value* find_global(const std::string& name) {
  auto function = [](const char* function_name, FunctionObject::Body body) {
    return Value::object(Kind::kObject, std::make_shared<FunctionObject>(function_name, body));
  };
  static const std::map<std::string, Value> globals = {
      {"range", function("range", make_range)},
      {"dict", Value::object(Kind::kObject, std::make_shared<DictFunction>())},
      {"namespace", function("namespace", make_namespace)},
      {"cycler", function("cycler", make_cycler)},
      {"joiner", function("joiner", make_joiner)},
      {"raise_exception", function("raise_exception", raise_exception)},
      {"strftime_now", function("strftime_now", strftime_now)},
  };
  auto found = globals.find(name);
  return found == globals.end() ? nullptr : &found->second;
}

Value dict_from_keys(Interpreter& interpreter, const Arguments& arguments) {
  Bound bound = bind("fromkeys", arguments, {"", ""}, 1);
  std::vector<DictObject::Entry> entries;
  for (const Value& key : to_vector(interpreter, bound[0])) entries.emplace_back(key, bound[1]);
  return Value::dict(std::make_shared<DictObject>(std::move(entries)));
}

std::string strftime(const std::string& format, int64_t unix_seconds, int microseconds) {
  std::time_t seconds = static_cast<std::time_t>(unix_seconds);
  std::tm local{};
  localtime_r(&seconds, &local);
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      out += format[i];
      continue;
    }
    size_t end = i + 1;
    while (end + 1 < format.size() &&
           std::string_view("-_0^#EO").find(format[end]) != std::string_view::npos)
      ++end;
    std::string directive = format.substr(i, end - i + 1);
    i = end;
    char type = format[end];
    if (type == 'f') {
      out += fmt::format("{:06}", microseconds);
    } else if (type != 'z' && type != 'Z') {  // empty for a time without a zone
      std::array<char, 128> buffer;
      out.append(buffer.data(),
                 std::strftime(buffer.data(), buffer.size(), directive.c_str(), &local));
    }
    if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the date is too long");
  }
  return out;
}

}  // namespace mica::jinja
