/*
 * Jdbc.java
 *	  What pgjdbc makes of a plan (tap/t/120_drivers.pl), as JSON.
 *
 *	  java -cp postgresql.jar Jdbc.java PLAN
 *
 * Reads every relation that the plan names, and calls what it calls, each as its
 * role, with arguments of the types that the plan gives. The plan is a text here,
 * a field a line, so that nothing is needed to read it: host, port, database, how
 * many relations, the relations, and for each call its role, its statement, how
 * many arguments, and of each its type and its value (\N is NULL).
 */
import java.math.BigDecimal;
import java.nio.file.*;
import java.sql.*;
import java.time.OffsetDateTime;
import java.util.*;

public class Jdbc {
    static Iterator<String> plan;
    static String server;

    static String text(String s) {
        if (s == null) return "null";
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray())
            if (c == '"' || c == '\\') b.append('\\').append(c);
            else if (c < 32) b.append(String.format("\\u%04x", (int) c));
            else b.append(c);
        return b.append('"').toString();
    }

    static Connection connect(String user) throws SQLException {
        return DriverManager.getConnection(server, user, "");
    }

    static String told(SQLException e) {
        org.postgresql.util.ServerErrorMessage m =
            e instanceof org.postgresql.util.PSQLException p ? p.getServerErrorMessage() : null;
        return String.format("{\"sqlstate\":%s,\"constraint\":%s,\"detail\":%s,\"message\":%s}", text(e.getSQLState()),
            text(m == null ? null : m.getConstraint()), text(m == null ? null : m.getDetail()), text(e.getMessage()));
    }

    static boolean odd(ResultSet rows, int column, String type) throws SQLException {
        Object value = rows.getObject(column);
        if (value == null) return false;
        if (value instanceof org.postgresql.util.PGobject o && o.getType().equals("record")) return true;
        if (type.equals("timestamptz")) {
            int year = rows.getObject(column, OffsetDateTime.class).getYear();
            return year < -4712 || year > 9999;
        }
        if (type.equals("numeric")) return rows.getBigDecimal(column) == null;
        return value instanceof Double d && (d.isNaN() || d.isInfinite());
    }

    static String read(Connection reader, String relation) {
        try (Statement statement = reader.createStatement();
             ResultSet rows = statement.executeQuery("SELECT * FROM " + relation)) {
            ResultSetMetaData meta = rows.getMetaData();
            Set<String> wrong = new TreeSet<>();
            int count = 0;
            for (; rows.next(); count++)
                for (int i = 1; i <= meta.getColumnCount(); i++)
                    if (odd(rows, i, meta.getColumnTypeName(i))) wrong.add(text(meta.getColumnName(i)));
            return String.format("{\"rows\":%d,\"columns\":%d,\"wrong\":%s}", count, meta.getColumnCount(), wrong);
        } catch (SQLException e) {
            return told(e);
        }
    }

    static Object other(String type, String value) throws SQLException {
        org.postgresql.util.PGobject object = new org.postgresql.util.PGobject();
        object.setType(type);
        object.setValue(value);
        return object;
    }

    static void set(Connection c, PreparedStatement s, int i, String type, String value) throws SQLException {
        if (value.equals("\\N")) s.setNull(i, Types.OTHER);
        else switch (type) {
            case "text" -> s.setString(i, value);
            case "uuid" -> s.setObject(i, UUID.fromString(value));
            case "integer" -> s.setInt(i, Integer.parseInt(value));
            case "bigint" -> s.setLong(i, Long.parseLong(value));
            case "boolean" -> s.setBoolean(i, value.equals("1"));
            case "numeric" -> s.setBigDecimal(i, new BigDecimal(value));
            case "timestamptz" -> s.setObject(i, OffsetDateTime.parse(value));
            case "interval" -> s.setObject(i, new org.postgresql.util.PGInterval(value + " seconds"));
            case "text[]", "uuid[]" -> s.setArray(i,
                c.createArrayOf(type.substring(0, 4), value.isEmpty() ? new Object[0] : value.split(",")));
            default -> s.setObject(i, other(type, value));
        }
    }

    static String call() {
        String role = plan.next(), sql = plan.next().replaceAll("\\$\\d+", "?");
        String[] arguments = new String[2 * Integer.parseInt(plan.next())];
        for (int i = 0; i < arguments.length; i++) arguments[i] = plan.next();
        try (Connection connection = connect(role); PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < arguments.length; i += 2)
                set(connection, statement, i / 2 + 1, arguments[i], arguments[i + 1]);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                String value = rows.getString(1);
                boolean json = rows.getMetaData().getColumnTypeName(1).equals("jsonb");
                return "{\"value\":" + (json ? value : text(value)) + "}";
            }
        } catch (SQLException e) {
            return told(e);
        }
    }

    public static void main(String[] args) throws Exception {
        plan = Files.readAllLines(Path.of(args[0])).iterator();
        server = String.format("jdbc:postgresql://%s:%s/%s", plan.next(), plan.next(), plan.next());
        List<String> relations = new ArrayList<>(), calls = new ArrayList<>();
        try (Connection reader = connect("postgres")) {
            for (int n = Integer.parseInt(plan.next()); n > 0; n--) {
                String relation = plan.next();
                relations.add(text(relation) + ":" + read(reader, relation));
            }
        }
        while (plan.hasNext()) calls.add(call());
        System.out.printf("{\"driver\":\"pgjdbc %s\",\"relations\":{%s},\"calls\":%s}%n",
            org.postgresql.util.DriverInfo.DRIVER_VERSION, String.join(",", relations), calls);
    }
}
