// The few calls of SQLite that the index needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace mica {

class Statement;

// Errors are Error(kUsage) with the file and SQLite's words.
class Database {
 public:
  explicit Database(const std::filesystem::path& path);  // made when missing
  void run(const char* sql);                             // statements without results
  Statement prepare(const char* sql);
  [[noreturn]] void fail(const char* what) const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

class Statement {
 public:
  // Parameters in their order; the next run begins with the first again.
  Statement& bind(std::string_view text);
  Statement& bind(const char* text) { return bind(std::string_view(text)); }
  Statement& bind(const std::string& text) { return bind(std::string_view(text)); }
  Statement& bind(double number);
  Statement& bind(int64_t number);
  Statement& bind(int number) { return bind(static_cast<int64_t>(number)); }
  Statement& bind_null();

  bool step();  // true: there is a row
  void run();   // to its end; may be bound and run again

  std::string text(int column) const;  // from 0
  int64_t integer(int column) const;
  double number(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(const Database& database, sqlite3_stmt* statement)
      : database_(&database), statement_(statement) {}
  void check(int status) const;

  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int next_ = 1;
};

// Rolled back unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  void commit();

 private:
  Database& database_;
  bool done_ = false;
};

}  // namespace mica
