import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

import org.locationtech.jts.algorithm.locate.IndexedPointInAreaLocator;
import org.locationtech.jts.geom.Coordinate;
import org.locationtech.jts.geom.Envelope;
import org.locationtech.jts.geom.GeometryFactory;
import org.locationtech.jts.geom.LinearRing;
import org.locationtech.jts.geom.Location;
import org.locationtech.jts.geom.Polygon;
import org.locationtech.jts.geom.prep.PreparedGeometry;
import org.locationtech.jts.geom.prep.PreparedGeometryFactory;
import org.locationtech.jts.index.strtree.STRtree;

/**
 * The Java peer: JTS's STRtree of the fences' boxes, then each fence's own index.
 *
 * <p>FENCES POINTS are files as benchmarks/peers/program.py writes them; what is answered on the standard input's lines
 * stands there too. The third argument is the form of the exact test: `prepared` (PreparedGeometry.intersects of a
 * Point) or `locator` (IndexedPointInAreaLocator, which the former uses within). Only the matching of all points is timed.
 */
public final class Match {
    private static final GeometryFactory GEOMETRY = new GeometryFactory();

    private record Fence(int number, PreparedGeometry prepared, IndexedPointInAreaLocator locator) {}

    private final STRtree tree = new STRtree();
    private final Coordinate[] points;
    private final boolean prepared;
    private int[] found;
    private int size;

    private Match(ByteBuffer fences, ByteBuffer points, boolean prepared) {
        this.prepared = prepared;
        int count = fences.getInt();
        for (int n = 0; n < count; n++) {
            LinearRing[] rings = new LinearRing[fences.getInt()];
            for (int k = 0; k < rings.length; k++) {
                rings[k] = GEOMETRY.createLinearRing(coordinates(fences));
            }
            Polygon polygon = GEOMETRY.createPolygon(rings[0], Arrays.copyOfRange(rings, 1, rings.length));
            var fence = new Fence(n, PreparedGeometryFactory.prepare(polygon), new IndexedPointInAreaLocator(polygon));
            tree.insert(polygon.getEnvelopeInternal(), fence);
        }
        tree.build();
        this.points = coordinates(points);
        this.found = new int[32 * this.points.length];
    }

    private static Coordinate[] coordinates(ByteBuffer data) {
        Coordinate[] made = new Coordinate[data.getInt()];
        for (int n = 0; n < made.length; n++) {
            made[n] = new Coordinate(data.getDouble(), data.getDouble());
        }
        return made;
    }

    private void match() {
        size = 0;
        for (int n = 0; n < points.length; n++) {
            int at = n;
            Coordinate point = points[n];
            var asked = prepared ? GEOMETRY.createPoint(point) : null;
            tree.query(new Envelope(point), item -> {
                Fence fence = (Fence) item;
                if (prepared ? fence.prepared.intersects(asked) : fence.locator.locate(point) != Location.EXTERIOR) {
                    if (size + 2 > found.length) {
                        found = Arrays.copyOf(found, 2 * found.length);
                    }
                    found[size++] = at;
                    found[size++] = fence.number;
                }
            });
        }
    }

    private static ByteBuffer opened(String path) throws IOException {
        return ByteBuffer.wrap(Files.readAllBytes(Path.of(path))).order(ByteOrder.LITTLE_ENDIAN);
    }

    public static void main(String[] arguments) throws IOException {
        boolean prepared = arguments[2].equals("prepared");
        Match match = new Match(opened(arguments[0]), opened(arguments[1]), prepared);
        for (long until = System.nanoTime() + 2_000_000_000L; System.nanoTime() < until; ) {
            match.match(); // until the compiler has done its best
        }
        System.out.println("ready");
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            long began = System.nanoTime();
            match.match();
            System.out.println((System.nanoTime() - began) / 1e9);
            if (line.startsWith("answer ")) {
                ByteBuffer out = ByteBuffer.allocate(4 * match.size).order(ByteOrder.LITTLE_ENDIAN);
                out.asIntBuffer().put(match.found, 0, match.size);
                Files.write(Path.of(line.substring("answer ".length())), out.array());
                System.out.println("written");
            }
        }
    }
}
